//! Messages of other nodes: read as they were written, and none does harm twice.
#![no_main]

use std::sync::LazyLock;

use ai_mesh_fuzz::federation::{ByName, author, contribution, node};
use federation::{Author, Gossip, Message, News, Replica, Sealed};
use libfuzzer_sys::fuzz_target;

/// What this node, and what its peer has.
static HELD: LazyLock<[Sealed; 2]> =
    LazyLock::new(|| [contribution(author(1), "cem", 1), contribution(author(2), "cem", 3)]);

fn receive(gossip: &mut Gossip, replica: &mut Replica, message: &Message) -> (Vec<News>, Vec<Message>) {
    let mut sent: Vec<(Author, Message)> = Vec::new();
    let news = gossip.receive(replica, &author(2), message.clone(), &ByName, &mut sent);
    (news, sent.into_iter().map(|(_, message)| message).collect())
}

fuzz_target!(|data: &[u8]| {
    let Ok(message) = serde_json::from_slice::<Message>(data) else { return };
    let written = serde_json::to_vec(&message).expect("a message can be written");
    assert_eq!(serde_json::from_slice::<Message>(&written).expect("what was written can be read"), message);

    for held in [&HELD[..1], &HELD[..]] {
        let (mut gossip, mut replica) = (Gossip::new(vec![author(2)]), node(author(1), held));
        let before = replica.clone();
        let (news, sent) = receive(&mut gossip, &mut replica, &message);
        let is_new = news.iter().any(|news| !matches!(news, News::Refused { .. }));
        assert_eq!(replica != before, is_new, "what changes is told");
        for held in held {
            let held_of = replica.held_of(held.contribution().stream, &held.contribution().author);
            assert!(held_of.count() > 0, "a message took away what was there");
        }
        for message in &sent {
            let text = serde_json::to_vec(message).expect("a message can be written");
            assert_eq!(serde_json::from_slice::<Message>(&text).expect("it can be read"), *message);
        }
        let once = replica.clone();
        receive(&mut gossip, &mut replica, &message);
        assert_eq!(replica, once, "the same message changes nothing twice");
    }
});
