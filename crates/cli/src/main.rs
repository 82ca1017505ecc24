//! The `onrecord` command.

fn main() -> std::process::ExitCode {
    cli::run()
}
