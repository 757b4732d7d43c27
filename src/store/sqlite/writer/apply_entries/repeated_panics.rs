//! Tells a panic that an entry itself causes from one of this machine: the first comes again each time that the entry
//! is applied. Knows nothing of what is applied.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::store::sqlite::panics::Panicked;

/// So many panics in a row of a command that is applied alone are an error of the command.
const MAX_PANICS: u32 = 3;

/// Time until an entry that has panicked is tried again, after its first panic, its second and so on. All of the node
/// waits meanwhile.
pub(super) const PANIC_DELAYS: [Duration; MAX_PANICS as usize - 1] = [Duration::ZERO, Duration::from_millis(20)];

/// The panics of one entry in a row, by the place of its commands.
#[derive(Default)]
pub(crate) struct RepeatedPanics {
    /// The position of the entry.
    position: u64,
    counts: BTreeMap<usize, u32>,
}

impl RepeatedPanics {
    /// Takes note of the commands that have panicked when the entry at this position was applied.
    ///
    /// # Errors
    /// The panic of a command that may not panic the next time: the entry must be tried again. Without an error it is
    /// applied without these commands.
    pub(super) fn check(&mut self, position: u64, panicked: BTreeMap<usize, Panicked>) -> Result<(), Panicked> {
        let before = std::mem::take(self);
        let earlier = |index| before.counts.get(index).filter(|_| before.position == position).copied().unwrap_or(0);
        self.position = position;
        self.counts = panicked.keys().map(|index| (*index, earlier(index) + 1)).collect();
        let mut counted = panicked.into_iter().zip(self.counts.values());
        match counted.find(|(_, count)| **count < MAX_PANICS) {
            Some(((_, panicked), _)) => Err(panicked),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::panics::contain;

    fn check(panics: &mut RepeatedPanics, position: u64, commands: &[usize]) -> bool {
        let panicked = |_| contain("a test", || std::panic::resume_unwind(Box::new(()))).expect_err("a panic");
        panics.check(position, commands.iter().map(|index| (*index, panicked(index))).collect()).is_ok()
    }

    #[test]
    fn only_three_panics_of_a_command_in_a_row_are_its_own() {
        let mut panics = RepeatedPanics::default();
        assert!(check(&mut panics, 1, &[]), "no panic");
        let attempts: [(u64, &[usize], bool); 9] = [
            (1, &[0], false),
            (1, &[0, 4], false),
            // The first one has panicked three times, the other one twice.
            (1, &[0, 4], false),
            (1, &[0, 4], true),
            // Another entry.
            (2, &[0], false),
            (2, &[0], false),
            // Not in a row.
            (2, &[1], false),
            (2, &[0], false),
            (2, &[], true),
        ];
        for (attempt, (position, commands, is_own)) in attempts.into_iter().enumerate() {
            assert_eq!(check(&mut panics, position, commands), is_own, "attempt {attempt}");
        }
    }
}
