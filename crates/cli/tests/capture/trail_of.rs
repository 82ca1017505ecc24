//! What came to the trail, read from its folder, and the tips checked against it as a verifier would (T31).

use std::collections::{BTreeMap, BTreeSet};

use client::tip::{Signing, Tip};
use host::Host;
use record::{Body, Kind, Part, Value};
use serde_json::Value as Json;
use trail::{Folder, KeyFolder, Reader};

use crate::place::Place;

/// One instance's records, by number.
#[derive(Default)]
pub struct Sent {
    pub contents: BTreeMap<u64, [u8; 32]>,
    pub declared: BTreeSet<u64>,
    /// The inputs `income` of decisions, as often as they are there.
    pub incomes: Vec<u64>,
    tips: Vec<(u64, String, Value)>,
}

/// All instances of the trail.
pub fn instances(place: &Place) -> BTreeMap<String, Sent> {
    let folder = Folder::new(place.path("served/credit")).with_keys(&KeyFolder(place.path("keys")));
    let snapshot = Reader::new(&Host::system(), &folder).snapshot().unwrap();
    let mut all: BTreeMap<String, Sent> = BTreeMap::new();
    for index in 0..snapshot.end() {
        let stored = snapshot.get(index).unwrap().unwrap().stored;
        let json: Json = serde_json::from_str(&record::to_json(&stored).unwrap()).unwrap();
        let Some(instance) = json["producer"]["instance"].as_str() else { continue };
        let sent = all.entry(instance.to_owned()).or_default();
        let Body::Whole { salt, parts } = &stored.body else { panic!("erased") };
        let seq = json["producer"]["seq"].as_u64();
        if let Some(seq) = seq {
            assert!(sent.contents.insert(seq, record::content(salt, parts).0).is_none(), "{seq} is there twice");
        }
        match stored.stamp.kind {
            Kind::Gap => {
                let number = |name: &str| json["context"][name].as_u64().unwrap();
                sent.declared.extend(number("first")..=number("last"));
            }
            Kind::Producer => {
                let context = Value::from_canonical(parts.get(Part::Context).unwrap()).unwrap();
                let event = json["context"]["event"].as_str().unwrap().to_owned();
                sent.tips.push((seq.unwrap_or(0), event, context));
            }
            _ => sent.incomes.extend(json["inputs"]["income"].as_u64()),
        }
    }
    all
}

impl Sent {
    /// T31: every tip is signed by the key of the start, and is over what is on the trail. Up to where they go.
    pub fn check_tips(&self, instance: &str) -> u64 {
        let mut keys = BTreeSet::new();
        let mut through = 0;
        for (seq, event, context) in &self.tips {
            let signing = Signing { producer: "credit-api", instance, event, seq: *seq };
            let (tip, key) = Tip::read(context, &signing).unwrap();
            keys.insert(key);
            let content = |seq: u64| match (self.declared.contains(&seq), self.contents.get(&seq)) {
                (true, _) | (_, None) => [0; 32],
                (false, Some(content)) => *content,
            };
            assert!(
                (tip.first..=tip.through).all(|seq| self.declared.contains(&seq) || self.contents.contains_key(&seq))
            );
            tip.covers((tip.first..=tip.through).map(content)).unwrap();
            if tip.first <= through + 1 {
                through = through.max(tip.through);
            }
        }
        assert_eq!(keys.len(), 1, "one key an instance");
        through
    }

    pub fn events(&self) -> Vec<&str> {
        self.tips.iter().map(|(_, event, _)| event.as_str()).collect()
    }
}
