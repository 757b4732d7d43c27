//! The place of a pass over all clients, as an entry of the journal carries it. It is small with any number of clients.

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

/// The number of the present client; 0 before the first one, whose number is larger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClientPass(i64);

impl ClientPass {
    /// The present client.
    pub(crate) fn present(self) -> i64 {
        self.0
    }

    /// Makes the next client the present one and returns it; `None` at the end of the pass. `next` finds the one with
    /// the next larger number.
    pub(crate) fn advance(
        &mut self,
        next: impl FnOnce(i64) -> rusqlite::Result<Option<i64>>,
    ) -> rusqlite::Result<Option<i64>> {
        let found = next(self.0)?;
        self.0 = found.unwrap_or(self.0);
        Ok(found)
    }
}

/// The registered client with the next larger number.
pub(crate) fn next_registered(db: &Connection, after: i64) -> rusqlite::Result<Option<i64>> {
    db.prepare_cached("SELECT id FROM client WHERE id > ?1 AND name IS NOT NULL ORDER BY id LIMIT 1")?
        .query_row([after], |row| row.get(0))
        .optional()
}

/// The client with the next larger number that has deliveries in any state.
pub(crate) fn next_with_deliveries(db: &Connection, after: i64) -> rusqlite::Result<Option<i64>> {
    db.prepare_cached(
        "SELECT client FROM delivery INDEXED BY delivery_state WHERE client > ?1 ORDER BY client LIMIT 1",
    )?
    .query_row([after], |row| row.get(0))
    .optional()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pass_keeps_its_place_in_an_entry() {
        let mut pass = ClientPass::default();
        for (number, next) in [(0, Some(3)), (3, Some(8)), (8, None)] {
            let packed = rmp_serde::to_vec_named(&pass).expect("packed");
            pass = rmp_serde::from_slice(&packed).expect("a pass");
            assert_eq!(pass.present(), number);
            assert_eq!(pass.advance(|after| Ok((after == number).then_some(next).flatten())), Ok(next));
        }
    }
}
