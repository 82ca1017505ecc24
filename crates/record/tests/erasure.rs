//! What an erasure leaves: the same digest, and nothing that tells what is gone (T19, I10).
#![allow(clippy::unwrap_used, reason = "a test")]

use proptest::prelude::*;
use record::arbitrary::{arb_parts, arb_salt, arb_stored};
use record::{Body, ErasedPart, JsonParser, Limits, Part, Salt, Stamp, Stored, commit, to_json};

fn written(stored: &Stored) -> Vec<u8> {
    let mut bytes = Vec::new();
    stored.write(&mut bytes);
    bytes
}

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn erasure_keeps_the_digest(stored in arb_stored(), first in arb_parts(), second in arb_parts()) {
        let left = stored.without(&first);
        prop_assert_eq!(left.digest(), stored.digest());
        prop_assert_eq!(left.content(), stored.content());
        prop_assert_eq!(&Stored::read(&written(&left)).unwrap(), &left);
        to_json(&left).unwrap();

        // Step by step or at once, the same is left.
        let both: Vec<Part> = first.iter().chain(&second).copied().collect();
        let stepwise = left.without(&second);
        prop_assert_eq!(&stepwise, &stored.without(&both));
        prop_assert_eq!(stepwise.digest(), stored.digest());
        prop_assert_eq!(&Stored::read(&written(&stepwise)).unwrap(), &stepwise);
    }

    #[test]
    fn what_is_erased_is_gone(stored in arb_stored(), gone in arb_parts()) {
        let Body::Whole { salt, parts } = &stored.body else { unreachable!() };
        let left = stored.without(&gone);
        let bytes = written(&left);
        let erased: Vec<Part> = gone.into_iter().filter(|part| parts.get(*part).is_some()).collect();
        if erased.is_empty() {
            prop_assert_eq!(&left, &stored);
            return Ok(());
        }
        prop_assert!(!holds(&bytes, &salt.0), "the salt is still there");
        for part in Part::ALL {
            let there = left.parts().and_then(|parts| parts.get(part));
            let is_gone = erased.contains(&part);
            prop_assert_eq!(there, parts.get(part).filter(|_| !is_gone));
            if is_gone {
                prop_assert!(!holds(&bytes, &salt.for_part(part).0), "the salt of {:?} is still there", part);
                // Short values occur by chance; long ones do not, unless another part holds the same.
                let canonical = parts.get(part).unwrap();
                let elsewhere = Part::ALL.iter().filter(|other| !erased.contains(other)).any(|other| {
                    parts.get(*other).is_some_and(|bytes| holds(bytes, canonical))
                });
                if canonical.len() > 12 && !elsewhere {
                    prop_assert!(!holds(&bytes, canonical), "{:?} is still there", part);
                }
            }
        }
    }

    /// With another salt the commitments are others: nobody can compare two records for equal values.
    #[test]
    fn equal_parts_under_other_salts_do_not_look_equal(salts in (arb_salt(), arb_salt())) {
        prop_assume!(salts.0 != salts.1);
        for part in Part::ALL {
            let made = [salts.0, salts.1].map(|salt| commit(part, &salt.for_part(part), b"\xf5"));
            prop_assert_ne!(made[0], made[1]);
        }
        let per_part: std::collections::HashSet<_> = Part::ALL.map(|part| salts.0.for_part(part).0).into();
        prop_assert_eq!(per_part.len(), Part::COUNT);
    }
}

fn yes_or_no(answer: bool, salt: Salt) -> Stored {
    let json = format!(
        r#"{{"id":"0190a5c2-7b1e-7c3a-9d55-1f0f5a6b7c8d","model":{{"name":"m","version":"1"}},
            "inputs":{{"prior_default":{answer}}},"output":{{"score":0.5}}}}"#
    );
    let record = JsonParser::new(Limits::DEFAULT).parse(json.as_bytes()).unwrap();
    let stamp = Stamp {
        kind: record.kind,
        received: 0,
        id: record.id.unwrap(),
        id_by_server: false,
        time_by_server: true,
        salt_by_server: false,
        about_digest: None,
    };
    Stored { stamp, body: Body::Whole { salt, parts: record.parts } }
}

/// All that someone can try who knows the layout, all but the answer, and what an erasure left: for each candidate
/// input a commitment under every salt there is to find, held against every 32 bytes there are.
fn brute_force(left: &[u8], salts: &[Salt]) -> Option<bool> {
    let guesses = [false, true].map(|answer| {
        let guess = yes_or_no(answer, Salt([0; 16]));
        guess.parts().unwrap().get(Part::Inputs).unwrap().to_vec()
    });
    for (canonical, answer) in guesses.iter().zip([false, true]) {
        for salt in salts {
            let made =
                [commit(Part::Inputs, salt, canonical), commit(Part::Inputs, &salt.for_part(Part::Inputs), canonical)];
            if made.iter().any(|made| holds(left, made)) {
                return Some(answer);
            }
        }
    }
    None
}

/// T19: with a yes/no input the commitment is a list of two to someone who has the salt, and nothing without.
#[test]
fn a_yes_or_no_input_cannot_be_guessed_after_erasure() {
    for answer in [false, true] {
        // The unsalted form, that is a salt which everyone knows, gives the answer away.
        let unsalted = yes_or_no(answer, Salt([0; 16]));
        assert_eq!(brute_force(&written(&unsalted.without(&[Part::Inputs])), &[Salt([0; 16])]), Some(answer));

        // So does keeping the record's salt beside the commitment: the test below can fail.
        let salt = Salt(*b"sixteen secret b");
        let whole = yes_or_no(answer, salt);
        assert_eq!(brute_force(&written(&whole.without(&[Part::Inputs])), &[salt]), Some(answer));

        // Ours: every 16 bytes that are left serve as a salt, and none opens the commitment.
        for gone in [&[Part::Inputs][..], &[Part::Inputs, Part::Output], &Part::ALL] {
            let left = whole.without(gone);
            let bytes = written(&left);
            let mut salts: Vec<Salt> = bytes.windows(16).map(|window| Salt(window.try_into().unwrap())).collect();
            salts.push(Salt([0; 16]));
            assert_eq!(brute_force(&bytes, &salts), None);
            assert_eq!(left.digest(), whole.digest());
            if let Body::Partial { erased, .. } = &left.body {
                assert!(matches!(erased.parts[Part::Inputs as usize], ErasedPart::Erased(_)));
            }
        }
    }
}
