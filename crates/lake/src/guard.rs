//! Panics of a library over bytes that no writer made become errors, and say nothing on the way.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// How many guards this thread is in.
    static GUARDS: Cell<u32> = const { Cell::new(0) };
}

/// Does `work`; a panic in it is an error with the panic's message. The hook that prints panics stays silent for this
/// thread meanwhile, and prints every other as before.
///
/// # Errors
/// The message of the panic.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    hook();
    GUARDS.set(GUARDS.get() + 1);
    let done = catch_unwind(AssertUnwindSafe(work));
    GUARDS.set(GUARDS.get() - 1);
    done.map_err(|panic| panic_message(&*panic))
}

/// Keeps the hook silent for the rest of this thread's life: for a thread that hands its panics on to one that is in
/// [`guarded`].
pub fn guard_thread() {
    hook();
    GUARDS.set(GUARDS.get() + 1);
}

fn hook() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = take_hook();
        set_hook(Box::new(move |panic| {
            if GUARDS.get() == 0 {
                print(panic);
            }
        }));
    });
}

/// The message of a panic.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a process of its own, whose stderr shows what the hook prints.
    #[test]
    fn a_guarded_panic_is_an_error_and_silent_and_any_other_is_printed() {
        if std::env::var_os("LAKE_TEST_GUARD").is_some() {
            assert_eq!(guarded(|| 7), Ok(7));
            assert_eq!(guarded(|| -> u8 { panic!("guarded {}", 1) }), Err("guarded 1".to_owned()));
            let nested = guarded(|| {
                assert_eq!(guarded(|| -> u8 { panic!("inner") }), Err("inner".to_owned()));
                panic!("outer")
            });
            assert_eq!(nested, Err::<u8, _>("outer".to_owned()));
            let other = std::thread::spawn(|| panic!("another thread")).join();
            assert!(other.is_err());
            panic!("a bug");
        }
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "guard::tests::a_guarded_panic_is_an_error_and_silent_and_any_other_is_printed"]);
        let output = child.arg("--nocapture").env("LAKE_TEST_GUARD", "1").output().unwrap();
        let printed = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
        assert!(printed.contains("another thread") && printed.contains("a bug"), "{printed}");
        for silent in ["guarded 1", "inner", "outer"] {
            assert!(!printed.contains(silent), "{printed}");
        }
    }
}
