//! What publishers, followers and the endpoint of a run have seen, and the check of it. It knows no sockets.

use std::collections::{HashMap, HashSet};
use std::io::{BufWriter, Write};
use std::path::Path;

/// An event that a node has acknowledged.
#[derive(Debug, Clone)]
pub(crate) struct Acknowledged {
    pub(crate) publisher: usize,
    pub(crate) document: String,
    pub(crate) event_id: String,
}

/// What a follower has received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// `message`, `reset` or `error`.
    pub(crate) name: String,
    pub(crate) event_id: String,
    /// The document of a `message`, otherwise the data.
    pub(crate) document: String,
    /// The node that has sent it.
    pub(crate) node: usize,
}

/// A complete run.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Of each publisher in its order.
    pub(crate) acknowledged: Vec<Acknowledged>,
    /// Documents that were posted without an answer until the end.
    pub(crate) unanswered: Vec<String>,
    pub(crate) followers: Vec<Vec<Seen>>,
    pub(crate) delivered: HashSet<String>,
    /// Faults, with their times.
    pub(crate) notes: Vec<String>,
}

impl History {
    /// Everything that breaks a promise; empty for a good run.
    pub(crate) fn violations(&self) -> Vec<String> {
        let mut found: Vec<String> =
            self.unanswered.iter().map(|document| format!("{document} was not acknowledged by the end")).collect();
        for (number, seen) in self.followers.iter().enumerate() {
            self.check_follower(number, seen, &mut found);
        }
        let lost = self.acknowledged.iter().filter(|event| !self.delivered.contains(&event.document));
        found.extend(lost.map(|event| format!("{} was not delivered", event.document)));
        found
    }

    fn check_follower(&self, number: usize, seen: &[Seen], found: &mut Vec<String>) {
        let mut at: HashMap<&str, usize> = HashMap::new();
        for (position, event) in seen.iter().enumerate() {
            let Seen { name, event_id, document, node } = event;
            if name != "message" {
                found.push(format!("follower {number} received {name} from node {node} at {position}: {document}"));
            } else if at.insert(document, position).is_some() {
                found.push(format!("follower {number} received {document} ({event_id}) twice, from node {node} again"));
            }
        }
        let mut last: HashMap<usize, (usize, &str)> = HashMap::new();
        for Acknowledged { publisher, document, event_id } in &self.acknowledged {
            let Some(position) = at.get(document.as_str()) else {
                found.push(format!("follower {number} has not received {document} ({event_id})"));
                continue;
            };
            if seen[*position].event_id != *event_id {
                let other = &seen[*position].event_id;
                found.push(format!("follower {number} received {document} as {other}, acknowledged as {event_id}"));
            }
            if let Some((before, earlier)) = last.insert(*publisher, (*position, document))
                && before > *position
            {
                found.push(format!("follower {number} received {document} before {earlier} of the same publisher"));
            }
        }
        let ids = |seen: &[Seen]| -> Vec<String> {
            seen.iter().filter(|event| event.name == "message").map(|event| event.event_id.clone()).collect()
        };
        let (ids, first) = (ids(seen), ids(&self.followers[0]));
        if let Some(position) = ids.iter().zip(&first).position(|(own, other)| own != other) {
            found.push(format!("follower {number} has another order than follower 0 from event {position} on"));
        }
    }

    /// Writes one line for each fact.
    pub(crate) fn write(&self, path: &Path) {
        let mut file = BufWriter::new(std::fs::File::create(path).expect("a file for the history"));
        let mut write = |line: String| writeln!(file, "{line}").expect("the history");
        self.notes.iter().for_each(|note| write(format!("note {note}")));
        for Acknowledged { publisher, document, event_id } in &self.acknowledged {
            write(format!("acknowledged publisher={publisher} document={document} id={event_id}"));
        }
        self.unanswered.iter().for_each(|document| write(format!("unanswered document={document}")));
        for (number, seen) in self.followers.iter().enumerate() {
            for Seen { name, event_id, document, node } in seen {
                write(format!("seen follower={number} node={node} name={name} document={document} id={event_id}"));
            }
        }
        self.delivered.iter().for_each(|document| write(format!("delivered document={document}")));
    }
}

fn good() -> History {
    let (documents, seen) = (["a", "b", "c"], |document: &str| Seen {
        name: "message".to_owned(),
        event_id: format!("e.{document}"),
        document: document.to_owned(),
        node: 0,
    });
    let acknowledged = |document: &str| Acknowledged {
        publisher: 0,
        document: document.to_owned(),
        event_id: format!("e.{document}"),
    };
    History {
        acknowledged: documents.map(acknowledged).into(),
        unanswered: Vec::new(),
        followers: vec![documents.map(seen).into(), documents.map(seen).into()],
        delivered: documents.map(str::to_owned).into(),
        notes: Vec::new(),
    }
}

type Change = fn(&mut History);

#[test]
fn history_check_finds_every_broken_promise() {
    assert_eq!(good().violations(), [""; 0]);
    let broken: [(&str, Change); 8] = [
        ("has not received b", |history| drop(history.followers[1].remove(1))),
        ("received a (e.a) twice", |history| {
            let repeated = history.followers[1][0].clone();
            history.followers[1].push(repeated);
        }),
        ("received b before a", |history| history.followers.iter_mut().for_each(|seen| seen.swap(0, 1))),
        ("another order", |history| history.followers[1].swap(0, 1)),
        ("received reset", |history| history.followers[0][2].name = "reset".to_owned()),
        ("acknowledged as e.x", |history| history.acknowledged[0].event_id = "e.x".to_owned()),
        ("was not delivered", |history| assert!(history.delivered.remove("c"))),
        ("not acknowledged", |history| history.unanswered.push("d".to_owned())),
    ];
    for (expected, change) in broken {
        let mut history = good();
        change(&mut history);
        let found = history.violations();
        assert!(found.iter().any(|violation| violation.contains(expected)), "{expected}: {found:?}");
    }
}
