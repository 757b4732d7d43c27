//! Tickets: their lifetime, size and claims.

use std::time::Duration;

use serde_json::{Value, json};

use super::{NOW, Relay, at, id};
use crate::auth::issue::NewTicket;
use crate::auth::{AuthError, Grant, Scope, Ticket};
use crate::domain::{ClientRef, Epoch, EventId, Timestamp};

fn new_ticket(ticket: &Ticket, ttl: Duration) -> NewTicket {
    NewTicket { ticket: ticket.clone(), ttl, position: EventId { epoch: Epoch::new(u64::MAX), sequence: u64::MAX } }
}

#[test]
fn ticket_expires_with_the_token_that_created_it() {
    let relay = Relay::start();
    let bearer = relay.auth.check(&relay.token(), at(NOW)).expect("good");
    let document: crate::domain::DocumentId = "626626a0-749f-11e2-bfd6-000000000000".parse().expect("a UUID");
    let ticket = Ticket::new(Some(vec![document])).expect("few");
    let now = Timestamp::from_millis(NOW * 1000 + 1);
    let (token, lasts) =
        relay.keys.issue_ticket(&bearer, &new_ticket(&ticket, Duration::from_secs(1)), now).expect("signed");
    assert_eq!(lasts, Duration::from_secs(1));
    let grant = relay.auth.check(&token, now.plus(lasts)).expect("good for all that time");
    assert_eq!(
        (grant.scopes, &grant.ticket, grant.expires),
        (Scope::Events.into(), &Some(ticket.clone()), at(NOW + 2))
    );
    assert_eq!(relay.auth.check(&token, at(NOW + 2)), Err(AuthError::Expired));

    let late = at(NOW + 3590);
    let (token, lasts) =
        relay.keys.issue_ticket(&bearer, &new_ticket(&ticket, Ticket::DEFAULT_TTL), late).expect("signed");
    assert_eq!(lasts, Duration::from_secs(10));
    assert_eq!(relay.auth.check(&token, late).expect("good").expires, bearer.expires);
}

#[test]
fn largest_ticket_is_accepted() {
    let relay = Relay::start();
    let bearer = relay.auth.check(&relay.token(), at(NOW)).expect("good");
    let ids = (0..100).map(|n| crate::domain::DocumentId::new(uuid::Uuid::from_u128(n))).collect();
    let ticket = Ticket::new(Some(ids)).expect("few enough");
    let grant = Grant { client: ClientRef { id: id(&"a".repeat(64)), created: at(NOW) }, ..bearer };
    relay.clients.put(grant.client.id.as_str(), at(NOW));
    let (token, _) =
        relay.keys.issue_ticket(&grant, &new_ticket(&ticket, Ticket::DEFAULT_TTL), at(NOW)).expect("signed");
    assert_eq!(relay.auth.check(&token, at(NOW)).map(|grant| grant.ticket), Ok(Some(ticket)), "{}", token.len());
}

#[test]
fn unknown_or_contradictory_use_claim_is_rejected() {
    let relay = Relay::start();
    let of = |claims: Value| relay.with(claims).map(|grant| grant.ticket.is_some());
    let document = "626626a0-749f-11e2-bfd6-000000000000";
    assert_eq!(of(json!({"use": "ticket"})), Ok(true));
    assert_eq!(of(json!({"use": "ticket", "documents": []})), Ok(true));
    for odd in [
        json!({"use": "refresh"}),
        json!({"use": ["ticket"]}),
        json!({"documents": [document]}),
        json!({"use": "ticket", "scope": "events manage"}),
        json!({"use": "ticket", "scope": "manage"}),
        json!({"use": "ticket", "documents": [document, "x"]}),
        json!({"use": "ticket", "documents": document}),
    ] {
        assert_eq!(of(odd.clone()), Err(AuthError::Malformed), "{odd}");
    }
}
