//! The place of a pass over all clients, as an entry of the journal carries it. It is small with any number of clients.

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

/// The clients that are left of a pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum ClientPass {
    /// In entries of format 1 and 2, which this program reads: the numbers of all that are left. The last one is the present
    /// one.
    Listed(Vec<i64>),
    /// The number of the present client; 0 before the first one, whose number is larger.
    Cursor(i64),
}

impl ClientPass {
    pub(crate) fn new() -> Self {
        Self::Cursor(0)
    }

    /// The present client; `None` at the end of a list.
    pub(crate) fn present(&self) -> Option<i64> {
        match self {
            Self::Listed(numbers) => numbers.last().copied(),
            Self::Cursor(number) => Some(*number),
        }
    }

    /// Makes the next client the present one, if it is not in a list. `next` finds the one with the next larger number.
    /// Returns the present client; `None` at the end of the pass.
    pub(crate) fn advance(
        &mut self,
        next: impl FnOnce(i64) -> rusqlite::Result<Option<i64>>,
    ) -> rusqlite::Result<Option<i64>> {
        if let Self::Cursor(number) = self {
            let Some(found) = next(*number)? else { return Ok(None) };
            *number = found;
        }
        Ok(self.present())
    }

    /// The present client is done.
    pub(crate) fn complete(&mut self) {
        if let Self::Listed(numbers) = self {
            numbers.pop();
        }
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
    fn pass_of_earlier_entry_formats_goes_on_with_its_list() {
        let packed = rmp_serde::to_vec_named(&[4_i64, 9]).expect("packed");
        let mut pass: ClientPass = rmp_serde::from_slice(&packed).expect("a pass");
        assert_eq!(pass.advance(|_| panic!("no query")), Ok(Some(9)));
        pass.complete();
        assert_eq!(pass.present(), Some(4));
        pass.complete();
        assert_eq!(pass.advance(|_| panic!("no query")), Ok(None));
    }

    #[test]
    fn pass_with_cursor_keeps_its_place_in_an_entry() {
        let mut pass = ClientPass::new();
        for (number, next) in [(0, Some(3)), (3, Some(8)), (8, None)] {
            let packed = rmp_serde::to_vec_named(&pass).expect("packed");
            pass = rmp_serde::from_slice(&packed).expect("a pass");
            assert_eq!(pass, ClientPass::Cursor(number));
            assert_eq!(pass.advance(|after| Ok((after == number).then_some(next).flatten())), Ok(next));
            pass.complete();
        }
    }
}
