//! Where randomness comes from.

use parking_lot::Mutex;

/// The operating system's randomness, or a fixed sequence for tests.
pub(crate) enum Random {
    System,
    /// The state of SplitMix64 (Steele, Lea and Flood, 2014): short, and good enough for bytes that no one guards.
    Seeded(Mutex<u64>),
}

impl Random {
    pub(crate) fn seeded(seed: u64) -> Self {
        Random::Seeded(Mutex::new(seed))
    }

    pub(crate) fn fill(&self, bytes: &mut [u8]) {
        match self {
            Random::System => fill_from_system(bytes),
            Random::Seeded(state) => {
                let mut state = state.lock();
                for chunk in bytes.chunks_mut(8) {
                    let word = split_mix(&mut state).to_le_bytes();
                    chunk.copy_from_slice(&word[..chunk.len()]);
                }
            }
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "this is the one place where randomness is drawn")]
#[allow(clippy::panic, reason = "salts made without randomness can be guessed; no caller could go on")]
fn fill_from_system(bytes: &mut [u8]) {
    if let Err(error) = getrandom::fill(bytes) {
        panic!("the operating system gives no randomness ({error}); allow the getrandom system call and start again");
    }
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut word = *state;
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use crate::{Host, ManualClock};

    #[test]
    fn a_seed_fixes_every_byte_and_the_system_repeats_none() {
        let one = Host::builder().random_seed(7).build();
        let two = Host::builder().random_seed(7).build();
        assert_eq!(one.random::<33>(), two.random::<33>());
        assert_ne!(one.random::<16>(), one.random::<16>());
        assert_ne!(Host::system().random::<16>(), Host::system().random::<16>());
    }

    #[test]
    fn a_uuid_carries_the_hosts_time() {
        let host = Host::builder().clock(ManualClock::at(1_717_243_200_123_456_789)).random_seed(1).build();
        let id = host.uuid_v7();
        assert_eq!(id.get_version_num(), 7);
        assert_eq!(id.get_timestamp().unwrap().to_unix(), (1_717_243_200, 123_000_000));
    }
}
