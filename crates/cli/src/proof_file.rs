//! Checking a saved proof without the trail: nothing but the file, a digest and the verifier's own policy.

use std::path::Path;

use tlog::{TlogProof, WitnessPolicy, leaf_hash};

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::fields::hex;
use crate::number;
use crate::object::Object;
use crate::session::Session;
use crate::style::{BAD, GOOD, paint};
use crate::table::{heading, pairs};
use crate::text::{plain, plain_line};

const NOT_CHECKED: [&str; 3] = [
    "that the digest is that of the record in your hands: that takes the record with its salt, or its trail",
    "that the log showed everyone the same tree: that takes witnesses in the policy",
    "whether a producer recorded what really happened",
];

/// Checks the proof in a file.
pub fn check(session: &Session, file: &Path, policy: Option<&WitnessPolicy>, digest: Option<&str>) -> Outcome {
    let bytes = std::fs::read(file).map_err(|error| Failure::io("read", file, &error))?;
    let no_proof = |error| Failure::wrong_use(format!("{} is no proof: {error}", file.display()));
    let proof = TlogProof::parse(&bytes).map_err(no_proof)?;
    let policy = policy.ok_or_else(|| {
        let what = "a proof is checked with the verifier's own policy, and none was given";
        Failure::wrong_use(what).hint("--policy FILE, with the lines: log <verifier key>, quorum none")
    })?;
    let digest = digest.ok_or_else(|| {
        let what = "a proof is about a record, and does not hold it: its digest is needed";
        Failure::wrong_use(what).hint("--digest HEX, from the record's receipt or from show")
    })?;
    let leaf = leaf_hash(&digest_bytes(digest)?);
    match proof.verify(&leaf, policy) {
        Ok(evaluation) => {
            let checkpoint = evaluation.checkpoint.checkpoint();
            let report = Report {
                refusal: None,
                index: proof.index,
                origin: checkpoint.origin().to_owned(),
                size: checkpoint.size(),
                root: hex(checkpoint.root().as_bytes()),
                cosigned: evaluation.cosigned.len(),
                hashes: proof.path.len(),
            };
            report.print(session, digest)?;
            Ok(Exit::Done)
        }
        Err(refusal) => {
            let (index, hashes) = (proof.index, proof.path.len());
            let refusal = Some(refusal.to_string());
            let unknown = String::new();
            let report =
                Report { refusal, index, hashes, origin: unknown.clone(), size: 0, root: unknown, cosigned: 0 };
            report.print(session, digest)?;
            Ok(Exit::Negative)
        }
    }
}

fn digest_bytes(text: &str) -> Result<[u8; 32], Failure> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    let mut bytes = [0; 32];
    let pairs = digits.as_bytes().chunks_exact(2);
    let malformed = || Failure::wrong_use(format!("{:?} is not a digest", plain(text))).hint("64 hexadecimal digits");
    if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(malformed());
    }
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        let pair = std::str::from_utf8(pair).map_err(|_| malformed())?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| malformed())?;
    }
    Ok(bytes)
}

/// What the check came to.
struct Report {
    refusal: Option<String>,
    index: u64,
    origin: String,
    size: u64,
    root: String,
    cosigned: usize,
    hashes: usize,
}

impl Report {
    fn print(&self, session: &Session, digest: &str) -> Result<(), Failure> {
        let text = if session.json { self.json(digest) } else { self.text(session, digest) };
        session.print(&text)
    }

    fn json(&self, digest: &str) -> String {
        let object = Object::default().field("index", self.index).field("digest", digest);
        match &self.refusal {
            Some(refusal) => object.field("verdict", "INVALID").field("reason", refusal).line(),
            None => object
                .field("verdict", "VALID")
                .field("origin", &self.origin)
                .field("size", self.size)
                .field("root", &self.root)
                .field("cosigned", self.cosigned)
                .field("not_checked", NOT_CHECKED)
                .line(),
        }
    }

    fn text(&self, session: &Session, digest: &str) -> String {
        let index = number::count(self.index);
        if let Some(refusal) = &self.refusal {
            let what = format!("{}  the proof does not hold for record {index}\n\n", paint(BAD, "INVALID"));
            return what + &format!("  {}\n", plain_line(refusal));
        }
        let size = number::count(self.size);
        let checked = [
            ("digest".to_owned(), digest.to_owned()),
            ("inclusion".to_owned(), format!("{} hashes, from the digest up to the signed root", self.hashes)),
            ("root".to_owned(), self.root.clone()),
            ("signature".to_owned(), "of the log's key in your policy".to_owned()),
            ("witnesses".to_owned(), format!("{} of your policy cosigned", self.cosigned)),
        ];
        let what =
            format!("{}  record {index} of {size} is in the log {}\n\n", paint(GOOD, "VALID"), plain(&self.origin));
        let missing: String = NOT_CHECKED.iter().map(|what| format!("  {what}\n")).collect();
        what + &pairs(session, &checked) + &heading("not checked") + &missing
    }
}
