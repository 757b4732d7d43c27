//! Made-up histories: the check finds each broken promise to publishers and followers.

use std::time::Duration;

use super::deliveries::AttemptEnd;
use super::*;

fn good() -> History {
    let (documents, seen) = (["a", "b", "c"], |document: &str| Seen {
        name: "message".to_owned(),
        event_id: format!("e.{document}"),
        change: change(document, STATUSES[0]),
        node: 0,
    });
    let acknowledged = |document: &str| Acknowledged {
        publisher: 0,
        change: change(document, STATUSES[0]),
        event_id: format!("e.{document}"),
    };
    let attempt = |document: &str| DeliveryAttempt {
        document: document.to_owned(),
        step: 0,
        node: Some(0),
        began: Duration::ZERO,
        ended: Duration::from_millis(1),
        end: AttemptEnd::Accepted,
    };
    History {
        acknowledged: documents.map(acknowledged).into(),
        unanswered: Vec::new(),
        followers: vec![documents.map(seen).into(), documents.map(seen).into()],
        attempts: Some(documents.map(attempt).into()),
        faults: Vec::new(),
    }
}

fn attempts(history: &mut History) -> &mut Vec<DeliveryAttempt> {
    history.attempts.as_mut().expect("a notification")
}

type Change = fn(&mut History);

#[test]
fn history_check_finds_every_broken_promise() {
    assert_eq!(good().violations(), [""; 0]);
    let broken: [(&str, Change); 11] = [
        ("has not received b PENDING", |history| drop(history.followers[1].remove(1))),
        ("received a PENDING (e.a) twice", |history| {
            let repeated = history.followers[1][0].clone();
            history.followers[1].push(repeated);
        }),
        ("received b PENDING before a PENDING", |history| {
            history.followers.iter_mut().for_each(|seen| seen.swap(0, 1));
        }),
        ("another order", |history| history.followers[1].swap(0, 1)),
        ("received reset", |history| history.followers[0][2].name = "reset".to_owned()),
        ("acknowledged as e.x", |history| history.acknowledged[0].event_id = "e.x".to_owned()),
        ("was not delivered", |history| drop(attempts(history).pop())),
        ("was not delivered", |history| attempts(history)[0].end = AttemptEnd::Cancelled),
        ("not acknowledged", |history| history.unanswered.push("d PENDING".to_owned())),
        ("which was not posted", |history| {
            let foreign = Seen { change: "z PENDING".to_owned(), ..history.followers[0][0].clone() };
            history.followers[0].push(foreign);
        }),
        ("without being posted", |history| {
            let foreign = DeliveryAttempt { document: "z".to_owned(), ..attempts(history)[0].clone() };
            attempts(history).push(foreign);
        }),
    ];
    for (expected, change) in broken {
        let mut history = good();
        change(&mut history);
        let found = history.violations();
        assert!(found.iter().any(|violation| violation.contains(expected)), "{expected}: {found:?}");
    }
}
