//! `onrecord demo`: the main job on real data, told step by step. Every step is done by the verbs themselves.

mod applicant;
mod data;
mod forge;
mod tale;

use std::path::{Path, PathBuf};

use trail::{Finding, Folder, KeyFolder, Report, Verdict};

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::object::{self, Object};
use crate::session::Session;
use crate::style::{BAD, GOOD, HEAD, paint};
use crate::{append, find, init, prove, show, stats, verify};
use applicant::Applicant;
use tale::Tale;

/// See the main job done on real data: record, explain, prove, tamper, catch
#[derive(clap::Args)]
pub struct Args {
    /// Where to work: a new or an empty folder; a fresh temporary one if none is given
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Clean up behind it, and exit 0 only if everything that the tour shows held
    #[arg(long)]
    pub once: bool,
}

const TRAIL: &str = "trail";
const KEYS: &str = "keys";
const BACKUP: &str = "backup";
const OUTSIDE: &str = "outside";
const PIN: &str = "outside/checkpoint";
const POLICY: &str = "outside/policy";
const PROOF: &str = "outside/applicant.tlog-proof";
const ORIGIN: &str = "demo.example/credit";

pub fn run(session: &Session, args: &Args) -> Outcome {
    let place = Place::make(session, args)?;
    // The commands that are shown are typed inside of it.
    std::env::set_current_dir(&place.folder).map_err(|error| Failure::io("enter", &place.folder, &error))?;
    let session = Session { keys: Some(KeyFolder(KEYS.into())), ..session.clone() };
    let mut tale = Tale::new(&session);
    tale.say(&format!(
        "{}\n600 decisions of a real credit model on real applicants, and 350 outcomes that became known later\n\
         (German Credit Data, UCI Machine Learning Repository, CC BY 4.0).\n\n  cd {}\n  export ONRECORD_KEYS=$PWD/{KEYS}\n",
        paint(HEAD, "OnRecord: a tour"),
        place.folder.display()
    ))?;
    let applicant = record(&mut tale)?;
    explain(&mut tale, &applicant)?;
    anchor(&mut tale, &applicant)?;
    tamper(&mut tale, &applicant)?;
    end(&session, tale, &applicant, place, args)
}

// ---- the place -----------------------------------------------------------------------------------------------------

/// The folder of the tour; a temporary one goes when this does, unless it is kept.
struct Place {
    folder: PathBuf,
    temporary: Option<tempfile::TempDir>,
}

impl Place {
    fn make(session: &Session, args: &Args) -> Result<Place, Failure> {
        let Some(folder) = &args.dir else {
            let made = tempfile::Builder::new().prefix("onrecord-demo-").tempdir();
            let made = made.map_err(|error| Failure::could_not(format!("cannot make a temporary folder: {error}")))?;
            return Ok(Place { folder: made.path().to_owned(), temporary: Some(made) });
        };
        session.host.create_dir_all(folder, "demo")?;
        if !session.host.list(folder, "demo")?.is_empty() {
            return Err(Failure::wrong_use(format!("{} is not empty", folder.display())).hint("give a new folder"));
        }
        let folder = std::path::absolute(folder).map_err(|error| Failure::io("name", folder, &error))?;
        Ok(Place { folder, temporary: None })
    }
}

// ---- the steps -----------------------------------------------------------------------------------------------------

/// Records the data in two halves, with a backup in between. The applicant whose case the tour follows.
fn record(tale: &mut Tale<'_>) -> Result<Applicant, Failure> {
    let session = tale.session();
    tale.step(
        "Make a trail",
        "A folder, and beside it the key that signs its log. It is left open, so that you can look into its files, and the\n\
         forger of the last steps too; without --no-encryption it would be encrypted.",
    )?;
    tale.command(&format!("onrecord init {TRAIL} --origin {ORIGIN} --no-encryption"))?;
    let open = init::Args { trail: TRAIL.into(), origin: Some(ORIGIN.into()), no_encryption: true, master_key: None };
    init::run(session, &open)?;

    let halves = data::write(session)?;
    tale.step(
        "Record decisions",
        "Each is hashed, made durable, sealed into a Merkle tree whose root is signed, and settled into Parquet.",
    )?;
    let mut exits = Vec::new();
    for (half, file) in halves.iter().enumerate() {
        tale.command(&format!("onrecord append {TRAIL} {file} --settle"))?;
        exits.push(append::run(session, &append_args(TRAIL, file))?);
        if half == 0 {
            tale.command(&format!("cp -r {TRAIL} {BACKUP}        # somebody's nightly copy; it comes back later"))?;
            data::copy_folder(session, Path::new(TRAIL), Path::new(BACKUP))?;
        }
    }
    tale.held("every record was taken", exits == [Exit::Done, Exit::Done]);

    tale.step("See what is there", "")?;
    tale.command(&format!("onrecord stats {TRAIL}"))?;
    stats::run(session, &stats::Args { trail: TRAIL.into() })?;
    let snapshot = find::snapshot(session, TRAIL)?;
    tale.held("all 950 records are sealed and settled", snapshot.settled() == 950 && snapshot.sealed() == 950);
    applicant::closest_denial(&snapshot)
}

fn append_args(trail: &str, file: &str) -> append::Args {
    append::Args {
        trail: trail.into(),
        files: vec![file.into()],
        format: None,
        receipts: false,
        strict: false,
        settle: true,
    }
}

/// The case file, and a proof that needs no trail.
fn explain(tale: &mut Tale<'_>, applicant: &Applicant) -> Result<(), Failure> {
    let session = tale.session();
    let why = format!(
        "This applicant was denied with a probability of default of {:.4}, where {} was the limit, and turned out {}.\n\
         What went in, what came out, and what tipped it:",
        applicant.probability, applicant.threshold, applicant.label
    );
    tale.step("Explain one decision", &why)?;
    let id = applicant.id.to_string();
    tale.command(&format!("onrecord show {TRAIL} {id}"))?;
    let shown = show::run(session, &show::Args::of(TRAIL, &id))?;
    tale.held("the case file's record is included under the signed root", shown == Exit::Done);

    tale.step("Prove it to somebody who has no access", "The proof is a small file; its checker brings the key.")?;
    session.host.create_dir_all(OUTSIDE, "demo")?;
    let log_key = find::snapshot(session, TRAIL)?.settings().log_key.clone();
    session.host.replace(POLICY, format!("log {log_key}\nquorum none\n").as_bytes(), "demo", None)?;
    tale.command(&format!("onrecord prove {TRAIL} {id} -o {PROOF}"))?;
    prove::run(session, &prove::Args { trail: TRAIL.into(), id, output: Some(PROOF.into()) })?;
    let digest = applicant.digest.to_string();
    tale.command(&format!("onrecord verify {PROOF} --policy {POLICY} --digest {digest}"))?;
    let args = |digest| verify::Args { policy: Some(POLICY.into()), digest: Some(digest), ..verify::Args::of(PROOF) };
    let checked = verify::run(session, &args(digest))?;
    tale.held("the saved proof checks offline", checked == Exit::Done);
    Ok(())
}

/// A checkpoint goes where the operator cannot reach it.
fn anchor(tale: &mut Tale<'_>, _: &Applicant) -> Result<(), Failure> {
    let session = tale.session();
    tale.step(
        "Keep a checkpoint outside",
        "Three lines and a signature. Mail it, print it, give it to your auditor: what it covers can change no more\nwithout being found out.",
    )?;
    tale.command(&format!("cp {TRAIL}/checkpoint {PIN}"))?;
    let folder = Folder::new(TRAIL);
    let checkpoint = std::fs::read(folder.checkpoint()).map_err(|e| Failure::io("read", &folder.checkpoint(), &e))?;
    session.host.replace(PIN, &checkpoint, "demo", None)?;

    tale.step(
        "Verify",
        "Every record is hashed again, up to the signed root, and held against what was kept outside.",
    )?;
    tale.command(&format!("onrecord verify {TRAIL} --pin {PIN}"))?;
    let args = verify::Args { pins: vec![PIN.into()], ..verify::Args::of(TRAIL) };
    let verified = verify::run(session, &args)?;
    tale.held("the trail is VALID against the pinned checkpoint", verified == Exit::Done);
    Ok(())
}

/// Four ways to falsify a trail, each on a copy, each by somebody with full access to the disk.
fn tamper(tale: &mut Tale<'_>, applicant: &Applicant) -> Result<(), Failure> {
    let session = tale.session();
    let forged = applicant.amount / 3.0;
    tale.step(
        "A value is changed",
        &format!(
            "On a copy: credit_amount of record {} becomes {forged:.0} instead of {}. The Parquet file is rewritten whole, and\n\
             its size and hash in the table's log are made to fit.",
            applicant.index, applicant.amount
        ),
    )?;
    data::copy_folder(session, Path::new(TRAIL), Path::new("changed"))?;
    forge::change_value(session, Path::new("changed"), applicant, "inputs.credit_amount", forged.round())?;
    let report = pinned(tale, "changed")?;
    let named =
        |finding: &Finding| finding.index == Some(applicant.index) && finding.row.is_some() && finding.file.is_some();
    let caught = report.verdict == Verdict::Invalid && report.findings.iter().any(named);
    tale.held("the changed value is caught, with its record, file and row", caught);

    tale.step("A record is removed", "On a copy: its row is dropped, and the counts in file and log are made to fit.")?;
    data::copy_folder(session, Path::new(TRAIL), Path::new("removed"))?;
    forge::remove_row(session, Path::new("removed"), applicant)?;
    let report = pinned(tale, "removed")?;
    let caught = !report.verdict.is_good() && report.findings.iter().any(|found| found.index == Some(applicant.index));
    tale.held("the removed record is named", caught);

    tale.step(
        "The end is cut off",
        "The backup of step 2 is put in the trail's place. All in it agrees, but it is not all.",
    )?;
    let alone = alone(tale, BACKUP)?;
    let report = pinned(tale, BACKUP)?;
    let caught = alone.verdict == Verdict::Consistent && report.verdict == Verdict::Invalid;
    tale.held("the old copy is consistent alone, and caught by the pinned checkpoint", caught);

    tale.step(
        "Everything is written anew",
        "The worst case: the operator has the signing key, and makes the whole trail again with the value changed.",
    )?;
    rewrite_history(session, applicant, forged.round())?;
    let alone = self::alone(tale, "rewritten")?;
    let report = pinned(tale, "rewritten")?;
    let caught = alone.verdict == Verdict::Consistent && report.verdict == Verdict::Invalid;
    tale.held("a history written anew with the real key is caught by the pinned checkpoint", caught);
    Ok(())
}

/// A second trail under the same name and key, with one value changed before anything was sealed. Whoever does this
/// takes the key alone along, and not what stands beside it: the mark of what it has signed.
fn rewrite_history(session: &Session, applicant: &Applicant, amount: f64) -> Result<(), Failure> {
    let (folder, thief) = (Folder::new("rewritten"), KeyFolder("stolen".into()));
    let made = trail::init(&session.host, &folder, None, &thief);
    made.map_err(|error| Failure::of(Exit::CouldNot, &error))?;
    let original = Folder::new(TRAIL);
    data::copy_file(session, &original.settings(), &folder.settings())?;
    let settings = trail::Settings::read(&session.host, &original)?;
    let key = settings.verifier_key().map_err(|error| Failure::of(Exit::CouldNot, &error))?;
    data::copy_file(session, &session.keys()?.path(&key), &thief.path(&key))?;
    data::write_changed(session, "data/rewritten.ndjson", applicant, amount)?;
    let silent = Session { quiet: true, json: false, keys: Some(thief), ..session.clone() };
    append::run(&silent, &append_args("rewritten", "data/rewritten.ndjson"))?;
    Ok(())
}

fn pinned(tale: &mut Tale<'_>, trail: &str) -> Result<Report, Failure> {
    tale.command(&format!("onrecord verify {trail} --pin {PIN}"))?;
    verified(tale, trail, &[PIN.into()])
}

fn alone(tale: &mut Tale<'_>, trail: &str) -> Result<Report, Failure> {
    tale.command(&format!("onrecord verify {trail}"))?;
    verified(tale, trail, &[])
}

/// The verdict, and the worst finding.
fn verified(tale: &mut Tale<'_>, trail: &str, pins: &[PathBuf]) -> Result<Report, Failure> {
    let session = tale.session();
    let folder = Folder::new(trail);
    let report = verify::check(session, &folder, None, pins)?;
    tale.say(&format!("{}\n", verify::verdict(report.verdict)))?;
    // The worst come first.
    if let Some(found) = report.findings.first() {
        tale.say(&verify::finding(session, folder.root(), found))?;
    }
    Ok(report)
}

// ---- the end -------------------------------------------------------------------------------------------------------

fn end(session: &Session, tale: Tale<'_>, applicant: &Applicant, mut place: Place, args: &Args) -> Outcome {
    let failed: Vec<&str> = tale.checks().iter().filter(|(_, held)| !held).map(|(what, _)| *what).collect();
    let all = failed.is_empty();
    let kept = !(args.once && place.temporary.is_some());
    if session.json {
        let checks =
            tale.checks().iter().map(|(what, held)| Object::default().field("what", what).field("held", held).end());
        let object = Object::default().field("demo", all).raw("checks", &object::list(checks));
        let object = if kept { object.field("folder", &place.folder) } else { object };
        session.print(&object.line())?;
    } else {
        let (style, word) = if all { (GOOD, "all of them held") } else { (BAD, "NOT all of them held") };
        tale.say(&format!("\n{} checks on the way: {}\n", tale.checks().len(), paint(style, word)))?;
        failed.iter().try_for_each(|what| tale.say(&format!("  not: {what}\n")))?;
        if kept {
            tale.say(&next(&place.folder, applicant))?;
        }
    }
    if kept && let Some(temporary) = place.temporary.take() {
        place.folder = temporary.keep();
    }
    // A folder that is in use cannot always be removed.
    let _ = std::env::set_current_dir(std::env::temp_dir());
    Ok(if all { Exit::Done } else { Exit::Negative })
}

fn next(folder: &Path, applicant: &Applicant) -> String {
    format!(
        "\n{}\n\n  cd {}\n  export ONRECORD_KEYS=$PWD/{KEYS}\n\n  \
         onrecord show {TRAIL} {} --proof         # the same case, with its proof\n  \
         onrecord show {TRAIL} 42 --json | jq .record\n  \
         onrecord append {TRAIL} data/march-1.ndjson    # again: nothing is written twice\n  \
         onrecord verify changed --pin {PIN}; echo $?\n",
        paint(HEAD, "It is all still there. What to try next:"),
        folder.display(),
        applicant.index,
    )
}
