//! C2SP tlog-policy: which logs and witnesses a verifier knows, and which witnesses together are enough.
//!
//! ```text
//! log example.com/log+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k
//! witness W1 <vkey> https://w1.example
//! witness W2 <vkey>
//! group both all W1 W2
//! quorum both
//! ```
//!
//! The policy is the verifier's own. Nothing that comes with a proof or a checkpoint adds a key to it (T15).

use crate::checkpoint::{OpenError, SignedCheckpoint};
use crate::cosignature::WitnessKey;
use crate::decimal;
use crate::key::{KeyError, VerifierKey};
use crate::note::VerifyError;
use std::collections::{HashMap, HashSet};
use std::fmt;

/// Bytes in the longest policy read.
pub const MAX_POLICY_BYTES: usize = 1 << 20;

/// Known logs, known witnesses and a quorum of them.
#[derive(Debug, Clone)]
pub struct WitnessPolicy {
    logs: Vec<PolicyLog>,
    log_keys: Vec<VerifierKey>,
    /// Witnesses and groups in the order of their lines, so that members come before their groups.
    nodes: Vec<Node>,
    /// Index of the node that must hold; `None` for `quorum none`.
    quorum: Option<usize>,
}

/// A name or URL in a policy: octets without spaces, tabs or control characters, by custom UTF-8.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Word(Vec<u8>);

/// A log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyLog {
    /// The log's key; its name is the log's origin.
    pub key: VerifierKey,
    /// Where the log is reached, for those who need it.
    pub url: Option<Word>,
}

/// A witness line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyWitness {
    /// What groups and the quorum call it; means nothing outside the policy.
    pub name: Word,
    /// Its cosignature key.
    pub key: WitnessKey,
    /// Where the witness is reached, for those who need it.
    pub url: Option<Word>,
}

#[derive(Debug, Clone)]
enum Node {
    Witness(Box<PolicyWitness>),
    /// Holds when at least `threshold` of `members` do.
    Group {
        threshold: usize,
        members: Vec<usize>,
    },
}

/// A checkpoint of a known log, and which known witnesses have cosigned it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluation {
    /// The checkpoint, signed by a log of the policy.
    pub checkpoint: SignedCheckpoint,
    /// One for each witness with a valid cosignature, in the order of the policy's lines.
    pub cosigned: Vec<Cosigned>,
    /// Whether these witnesses are a quorum. True for `quorum none`.
    pub quorum_holds: bool,
}

/// A witness's valid cosignature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigned {
    /// The witness, by its name in the policy.
    pub witness: Word,
    /// When it cosigned, in seconds since the epoch; the earliest, when it did more than once, since that is the
    /// tightest bound on when the checkpoint stood.
    pub time_s: u64,
}

/// Why a checkpoint does not satisfy a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyRefusal {
    /// Not a checkpoint signed by a log of the policy, or a known key's signature fails.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The witnesses that have cosigned are no quorum.
    #[error("the checkpoint of {origin:?} at size {size} has {cosigned} cosignatures of known witnesses, no quorum")]
    NoQuorum {
        /// The checkpoint's origin.
        origin: String,
        /// The checkpoint's tree size.
        size: u64,
        /// Witnesses of the policy that have cosigned.
        cosigned: usize,
    },
}

/// Why bytes are no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Longer than [`MAX_POLICY_BYTES`].
    #[error("a policy of {bytes} bytes is longer than {MAX_POLICY_BYTES}")]
    TooLong {
        /// Bytes given.
        bytes: usize,
    },
    /// A line can not be taken.
    #[error("line {line} of the policy: {fault}")]
    Line {
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        fault: PolicyFault,
    },
    /// No quorum line.
    #[error("the policy has no quorum line; `quorum none` asks for no witnesses")]
    NoQuorum,
}

/// What is wrong with a line of a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyFault {
    /// The last line has no newline: the file may have been cut short.
    #[error("it is not ended by a newline")]
    NotEnded,
    /// A control character other than tab and newline.
    #[error("it has the control character {byte:#04x}")]
    ControlCharacter {
        /// The character.
        byte: u8,
    },
    /// Not one of the four keywords.
    #[error("{word:?} is none of log, witness, group and quorum")]
    Keyword {
        /// The word found.
        word: Word,
    },
    /// Too few words or too many.
    #[error("it does not have the form `{form}`")]
    Form {
        /// The form of such a line.
        form: &'static str,
    },
    /// The key is none, or not of the type needed here.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A key is not text.
    #[error("its key is not UTF-8")]
    KeyNotUtf8,
    /// The same public key stands in an earlier line of the kind, perhaps under another name.
    #[error("its public key stands in an earlier line")]
    DuplicateKey,
    /// The name is taken, or is `none`.
    #[error("the name {name:?} is taken")]
    NameTaken {
        /// The name.
        name: Word,
    },
    /// No earlier line defines this name.
    #[error("no earlier line defines {name:?}")]
    UnknownName {
        /// The name.
        name: Word,
    },
    /// A name may be a member once in the whole policy, so that no witness counts twice.
    #[error("{name:?} is a member already, here or of another group")]
    MemberTwice {
        /// The name.
        name: Word,
    },
    /// The threshold is not `all`, `any` or a decimal from 1 to the number of members.
    #[error("the threshold {threshold:?} of {members} members is not all, any, or a number from 1 to {members}")]
    Threshold {
        /// The word found.
        threshold: Word,
        /// Members of the group.
        members: usize,
    },
    /// A policy has one quorum line.
    #[error("an earlier line gives the quorum")]
    SecondQuorum,
}

const NONE: &[u8] = b"none";

impl WitnessPolicy {
    /// Reads a policy.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        if bytes.len() > MAX_POLICY_BYTES {
            return Err(PolicyError::TooLong { bytes: bytes.len() });
        }
        let mut reader = Reader::default();
        for (number, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            reader.line(line).map_err(|fault| PolicyError::Line { line: number + 1, fault })?;
        }
        let quorum = reader.quorum.ok_or(PolicyError::NoQuorum)?;
        let log_keys = reader.logs.iter().map(|log| log.key.clone()).collect();
        Ok(Self { logs: reader.logs, log_keys, nodes: reader.nodes, quorum })
    }

    /// The known logs.
    pub fn logs(&self) -> &[PolicyLog] {
        &self.logs
    }

    /// The known witnesses.
    pub fn witnesses(&self) -> impl Iterator<Item = &PolicyWitness> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Witness(witness) => Some(witness.as_ref()),
            Node::Group { .. } => None,
        })
    }

    /// Whether any cosignature is asked for; not so with `quorum none`.
    pub fn needs_witnesses(&self) -> bool {
        self.quorum.is_some()
    }

    /// Opens a checkpoint with the keys of this policy and finds who has cosigned it. A signature by any known key
    /// that fails refuses the checkpoint, whether or not the others are a quorum.
    pub fn evaluate(&self, checkpoint: &[u8]) -> Result<Evaluation, OpenError> {
        self.evaluate_opened(SignedCheckpoint::open(checkpoint, &self.log_keys)?)
    }

    /// As [`WitnessPolicy::evaluate`], but an error unless the quorum holds.
    pub fn require(&self, checkpoint: &[u8]) -> Result<Evaluation, PolicyRefusal> {
        enough(self.evaluate(checkpoint)?)
    }

    /// As [`WitnessPolicy::require`], for a note already parsed.
    pub(crate) fn require_note(&self, note: crate::note::Note) -> Result<Evaluation, PolicyRefusal> {
        let opened = SignedCheckpoint::open_note(note, &self.log_keys)?;
        enough(self.evaluate_opened(opened)?)
    }

    /// Takes only a checkpoint opened with this policy's log keys.
    fn evaluate_opened(&self, checkpoint: SignedCheckpoint) -> Result<Evaluation, OpenError> {
        let mut cosigned = Vec::new();
        let mut holds = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            holds.push(match node {
                Node::Witness(witness) => {
                    let found = cosigned_by(witness, &checkpoint)?;
                    let signed = found.is_some();
                    cosigned.extend(found);
                    signed
                }
                Node::Group { threshold, members } => {
                    members.iter().filter(|member| holds[**member]).count() >= *threshold
                }
            });
        }
        let quorum_holds = self.quorum.is_none_or(|quorum| holds[quorum]);
        Ok(Evaluation { checkpoint, cosigned, quorum_holds })
    }
}

fn enough(evaluation: Evaluation) -> Result<Evaluation, PolicyRefusal> {
    if evaluation.quorum_holds {
        return Ok(evaluation);
    }
    let checkpoint = evaluation.checkpoint.checkpoint();
    Err(PolicyRefusal::NoQuorum {
        origin: checkpoint.origin().to_owned(),
        size: checkpoint.size(),
        cosigned: evaluation.cosigned.len(),
    })
}

fn cosigned_by(witness: &PolicyWitness, checkpoint: &SignedCheckpoint) -> Result<Option<Cosigned>, VerifyError> {
    let times = checkpoint.note().statements(&witness.key)?;
    Ok(times.into_iter().min().map(|time_s| Cosigned { witness: witness.name.clone(), time_s }))
}

impl Word {
    /// The octets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// What the lines so far have defined.
#[derive(Default)]
struct Reader {
    logs: Vec<PolicyLog>,
    nodes: Vec<Node>,
    names: HashMap<Vec<u8>, usize>,
    members: HashSet<usize>,
    log_keys: HashSet<[u8; 32]>,
    witness_keys: HashSet<[u8; 32]>,
    quorum: Option<Option<usize>>,
}

impl Reader {
    fn line(&mut self, line: &[u8]) -> Result<(), PolicyFault> {
        let line = line.strip_suffix(b"\n").ok_or(PolicyFault::NotEnded)?;
        if let Some(byte) = line.iter().find(|byte| (**byte < b' ' && **byte != b'\t') || **byte == 0x7f) {
            return Err(PolicyFault::ControlCharacter { byte: *byte });
        }
        let words: Vec<&[u8]> = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|w| !w.is_empty()).collect();
        let Some((keyword, rest)) = words.split_first() else { return Ok(()) };
        match *keyword {
            [b'#', ..] => Ok(()),
            b"log" => self.log(rest),
            b"witness" => self.witness(rest),
            b"group" => self.group(rest),
            b"quorum" => self.quorum(rest),
            other => Err(PolicyFault::Keyword { word: word(other) }),
        }
    }

    fn log(&mut self, words: &[&[u8]]) -> Result<(), PolicyFault> {
        let (vkey, url) = match words {
            [vkey] => (*vkey, None),
            [vkey, url] => (*vkey, Some(word(url))),
            _ => return Err(PolicyFault::Form { form: "log <vkey> [<url>]" }),
        };
        let key: VerifierKey = text(vkey)?.parse()?;
        if !self.log_keys.insert(key.public_key()) {
            return Err(PolicyFault::DuplicateKey);
        }
        self.logs.push(PolicyLog { key, url });
        Ok(())
    }

    fn witness(&mut self, words: &[&[u8]]) -> Result<(), PolicyFault> {
        let (name, vkey, url) = match words {
            [name, vkey] => (*name, *vkey, None),
            [name, vkey, url] => (*name, *vkey, Some(word(url))),
            _ => return Err(PolicyFault::Form { form: "witness <name> <vkey> [<url>]" }),
        };
        let key: WitnessKey = text(vkey)?.parse()?;
        if !self.witness_keys.insert(key.public_key()) {
            return Err(PolicyFault::DuplicateKey);
        }
        self.define(name, Node::Witness(Box::new(PolicyWitness { name: word(name), key, url })))
    }

    fn group(&mut self, words: &[&[u8]]) -> Result<(), PolicyFault> {
        let [name, threshold, names @ ..] = words else {
            return Err(PolicyFault::Form { form: "group <name> all|any|<k> <name>..." });
        };
        if names.is_empty() {
            return Err(PolicyFault::Form { form: "group <name> all|any|<k> <name>..." });
        }
        let threshold = parse_threshold(threshold, names.len())
            .ok_or_else(|| PolicyFault::Threshold { threshold: word(threshold), members: names.len() })?;
        let mut members = Vec::with_capacity(names.len());
        for name in names {
            let member = self.known(name)?;
            if !self.members.insert(member) {
                return Err(PolicyFault::MemberTwice { name: word(name) });
            }
            members.push(member);
        }
        self.define(name, Node::Group { threshold, members })
    }

    fn quorum(&mut self, words: &[&[u8]]) -> Result<(), PolicyFault> {
        let [name] = words else { return Err(PolicyFault::Form { form: "quorum <name>" }) };
        if self.quorum.is_some() {
            return Err(PolicyFault::SecondQuorum);
        }
        self.quorum = Some(if *name == NONE { None } else { Some(self.known(name)?) });
        Ok(())
    }

    fn known(&self, name: &[u8]) -> Result<usize, PolicyFault> {
        self.names.get(name).copied().ok_or_else(|| PolicyFault::UnknownName { name: word(name) })
    }

    fn define(&mut self, name: &[u8], node: Node) -> Result<(), PolicyFault> {
        if name == NONE || self.names.contains_key(name) {
            return Err(PolicyFault::NameTaken { name: word(name) });
        }
        self.names.insert(name.to_vec(), self.nodes.len());
        self.nodes.push(node);
        Ok(())
    }
}

fn word(octets: &[u8]) -> Word {
    Word(octets.to_vec())
}

fn text(octets: &[u8]) -> Result<&str, PolicyFault> {
    std::str::from_utf8(octets).map_err(|_| PolicyFault::KeyNotUtf8)
}

fn parse_threshold(threshold: &[u8], members: usize) -> Option<usize> {
    match threshold {
        b"all" => Some(members),
        b"any" => Some(1),
        number => {
            let k = decimal::parse(std::str::from_utf8(number).ok()?)?;
            usize::try_from(k).ok().filter(|k| (1..=members).contains(k))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;
    use crate::cosignature::WitnessSigner;
    use crate::hash::leaf_hash;
    use crate::key::{KeyName, SigningKey};

    fn log(seed: u8) -> SigningKey {
        SigningKey::from_seed(KeyName::new("log").unwrap(), &[seed; 32]).unwrap()
    }

    fn witness(number: u8) -> WitnessSigner {
        WitnessSigner::from_seed(KeyName::new(&format!("w{number}")).unwrap(), &[100 + number; 32]).unwrap()
    }

    fn lines(witnesses: u8) -> String {
        let mut lines = format!("log {}\n", log(1).verifier_key());
        (0..witnesses).for_each(|n| lines += &format!("witness W{n} {}\n", witness(n).witness_key()));
        lines
    }

    fn parse(text: &str) -> Result<WitnessPolicy, PolicyError> {
        WitnessPolicy::parse(text.as_bytes())
    }

    /// A checkpoint cosigned by these witnesses, each at 1000 + its number.
    fn cosigned(by: &[u8]) -> String {
        let mut signed = Checkpoint::new("log", 7, leaf_hash(b"x")).unwrap().sign(&log(1)).unwrap();
        for number in by {
            signed.add_signature(witness(*number).cosign(&signed, 1000 + u64::from(*number)).unwrap()).unwrap();
        }
        signed.to_string()
    }

    fn holds(policy: &str, by: &[u8]) -> bool {
        let policy = parse(policy).unwrap();
        let evaluation = policy.evaluate(cosigned(by).as_bytes()).unwrap();
        assert_eq!(evaluation.cosigned.len(), by.len());
        assert_eq!(policy.require(cosigned(by).as_bytes()).is_ok(), evaluation.quorum_holds);
        evaluation.quorum_holds
    }

    /// The example of the specification: two of X1 to X3, and any of Y1 to Y3.
    #[test]
    fn the_specs_two_levels_of_groups() {
        let policy = lines(6)
            + "group X 2 W0 W1 W2\n\ngroup Y any W3 W4 W5\n # a comment\n\tgroup\tX-and-Y  all X Y \nquorum X-and-Y\n";
        for (by, expected) in [
            (&[][..], false),
            (&[0, 1], false),
            (&[0, 3], false),
            (&[3, 4, 5], false),
            (&[0, 1, 3], true),
            (&[1, 2, 5], true),
            (&[0, 1, 2, 3, 4, 5], true),
        ] {
            assert_eq!(holds(&policy, by), expected, "{by:?}");
        }
    }

    #[test]
    fn quorums_of_none_of_one_and_of_a_threshold() {
        assert!(holds(&(lines(2) + "quorum none\n"), &[]));
        assert!(holds(&(lines(2) + "quorum W1\n"), &[1]));
        assert!(!holds(&(lines(2) + "quorum W1\n"), &[0]));
        assert!(!holds(&(lines(3) + "group g all W0 W1 W2\nquorum g\n"), &[0, 2]));
        assert!(holds(&(lines(3) + "group g 2 W0 W1 W2\nquorum g\n"), &[0, 2]));
        assert!(!parse("quorum none\n").unwrap().needs_witnesses());
        let refused = parse(&(lines(1) + "quorum W0\n")).unwrap().require(cosigned(&[]).as_bytes());
        assert_eq!(refused, Err(PolicyRefusal::NoQuorum { origin: "log".into(), size: 7, cosigned: 0 }));
    }

    #[test]
    fn a_witness_that_cosigned_twice_counts_once_at_its_earliest_time() {
        let policy = parse(&(lines(2) + "group g all W0 W1\nquorum g\n")).unwrap();
        let twice = cosigned(&[0]) + &cosigned(&[0]).lines().last().map(|line| format!("{line}\n")).unwrap();
        let evaluation = policy.evaluate(twice.as_bytes()).unwrap();
        assert!(!evaluation.quorum_holds);
        let mut signed = Checkpoint::new("log", 7, leaf_hash(b"x")).unwrap().sign(&log(1)).unwrap();
        for time_s in [30, 10, 20] {
            signed.add_signature(witness(0).cosign(&signed, time_s).unwrap()).unwrap();
        }
        let evaluation = policy.evaluate(signed.to_string().as_bytes()).unwrap();
        assert_eq!(evaluation.cosigned, [Cosigned { witness: word(b"W0"), time_s: 10 }]);
        assert_eq!(evaluation.checkpoint.log_key(), &log(1).verifier_key());
    }

    #[test]
    fn keys_come_from_the_policy_only() {
        let policy = parse(&(lines(1) + "quorum W0\n")).unwrap();
        // A log of the same origin with a key that the policy has not (T15).
        let mut forged = Checkpoint::new("log", 7, leaf_hash(b"x")).unwrap().sign(&log(2)).unwrap();
        forged.add_signature(witness(0).cosign(&forged, 5).unwrap()).unwrap();
        let refused = policy.evaluate(forged.to_string().as_bytes());
        assert_eq!(refused, Err(OpenError::NotSignedByLog { origin: "log".into() }));
        // A witness of the same name with another key.
        let impostor = WitnessSigner::from_seed(KeyName::new("w0").unwrap(), &[9; 32]).unwrap();
        let mut signed = Checkpoint::new("log", 7, leaf_hash(b"x")).unwrap().sign(&log(1)).unwrap();
        signed.add_signature(impostor.cosign(&signed, 5).unwrap()).unwrap();
        assert!(!policy.evaluate(signed.to_string().as_bytes()).unwrap().quorum_holds);
        // A known witness's cosignature of another checkpoint refuses the whole.
        let other = cosigned(&[0]).lines().last().map(|line| format!("{line}\n")).unwrap();
        let text = signed.to_string().replace("\n7\n", "\n8\n");
        assert!(policy.evaluate((text + &other).as_bytes()).is_err());
        let resigned = Checkpoint::new("log", 8, leaf_hash(b"x")).unwrap().sign(&log(1)).unwrap().to_string();
        let refused = policy.evaluate((resigned + &other).as_bytes());
        assert!(matches!(refused, Err(OpenError::Verify(VerifyError::BadSignature { .. }))));
    }

    #[test]
    fn each_fault_names_its_line() {
        let w0 = witness(0).witness_key();
        let renamed = WitnessKey::new(KeyName::new("renamed").unwrap(), &w0.public_key()).unwrap();
        let name = |name: &str| word(name.as_bytes());
        let form = |form| PolicyFault::Form { form };
        let group_form = || form("group <name> all|any|<k> <name>...");
        let head = lines(2);
        let threshold = |k: &str| PolicyFault::Threshold { threshold: name(k), members: 2 };
        for (last, fault) in [
            ("quorum none".into(), PolicyFault::NotEnded),
            ("quorum none\r\n".into(), PolicyFault::ControlCharacter { byte: b'\r' }),
            ("# \u{7f}\n".into(), PolicyFault::ControlCharacter { byte: 0x7f }),
            ("Log x\n".into(), PolicyFault::Keyword { word: name("Log") }),
            ("log\n".into(), form("log <vkey> [<url>]")),
            ("witness a\n".into(), form("witness <name> <vkey> [<url>]")),
            ("witness a b c # d\n".into(), form("witness <name> <vkey> [<url>]")),
            ("log x\n".into(), PolicyFault::Key(KeyError::VerifierShape)),
            (format!("witness again {renamed} https://w\n"), PolicyFault::DuplicateKey),
            (format!("log {}\n", log(1).verifier_key()), PolicyFault::DuplicateKey),
            (format!("witness W0 {}\n", witness(7).witness_key()), PolicyFault::NameTaken { name: name("W0") }),
            (format!("witness none {}\n", witness(7).witness_key()), PolicyFault::NameTaken { name: name("none") }),
            ("group none any W0\n".into(), PolicyFault::NameTaken { name: name("none") }),
            ("group W1 any W0\n".into(), PolicyFault::NameTaken { name: name("W1") }),
            ("group g\n".into(), group_form()),
            ("group g any\n".into(), group_form()),
            ("group g any W2\n".into(), PolicyFault::UnknownName { name: name("W2") }),
            ("group g any none\n".into(), PolicyFault::UnknownName { name: name("none") }),
            ("group g any g\n".into(), PolicyFault::UnknownName { name: name("g") }),
            ("group g any W0 W0\n".into(), PolicyFault::MemberTwice { name: name("W0") }),
            ("group g 0 W0 W1\n".into(), threshold("0")),
            ("group g 3 W0 W1\n".into(), threshold("3")),
            ("group g 01 W0 W1\n".into(), threshold("01")),
            ("group g ALL W0 W1\n".into(), threshold("ALL")),
            ("quorum\n".into(), form("quorum <name>")),
            ("quorum W0 W1\n".into(), form("quorum <name>")),
            ("quorum W2\n".into(), PolicyFault::UnknownName { name: name("W2") }),
        ] {
            let expected = PolicyError::Line { line: 4, fault };
            assert_eq!(parse(&format!("{head}{last}")).unwrap_err(), expected, "{last:?}");
        }
        let text = head.clone() + "group g any W0\ngroup h any W0 W1\nquorum g\n";
        let twice = PolicyFault::MemberTwice { name: name("W0") };
        assert_eq!(parse(&text).unwrap_err(), PolicyError::Line { line: 5, fault: twice });
        let second = PolicyError::Line { line: 2, fault: PolicyFault::SecondQuorum };
        assert_eq!(parse("quorum none\nquorum none\n").unwrap_err(), second);
        assert_eq!(parse(&head).unwrap_err(), PolicyError::NoQuorum);
        let log_as_witness = format!("witness w {}\nquorum none\n", log(1).verifier_key());
        let fault = KeyError::Type { name: KeyName::new("log").unwrap(), expected: 4, found: 1 };
        assert_eq!(parse(&log_as_witness).unwrap_err(), PolicyError::Line { line: 1, fault: fault.into() });
        assert!(WitnessPolicy::parse(&vec![b'\n'; MAX_POLICY_BYTES + 1]).is_err());
    }

    #[test]
    fn names_are_octets_and_many_are_taken() {
        let text =
            [b"witness \xff\xfe ", witness(0).witness_key().to_string().as_bytes(), b" http://\xe9\nquorum \xff\xfe\n"]
                .concat();
        let policy = WitnessPolicy::parse(&text).unwrap();
        let only = policy.witnesses().next().unwrap();
        assert_eq!(only.name.as_bytes(), b"\xff\xfe");
        assert_eq!(only.url.as_ref().unwrap().as_bytes(), b"http://\xe9");
        let mut many = lines(64);
        for i in 2..40u8 {
            many += &format!("log {}\n", log(i).verifier_key());
        }
        (0..64).for_each(|n| many += &format!("group g{n} any W{n}\n"));
        let policy = parse(&(many + "quorum g63\n")).unwrap();
        assert_eq!((policy.logs().len(), policy.witnesses().count()), (39, 64));
    }

    /// A witness key in use, as its operator publishes it.
    #[test]
    fn a_witness_key_from_the_field() {
        let vkey = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2";
        assert_eq!(vkey.parse::<WitnessKey>().unwrap().to_string(), vkey);
    }
}
