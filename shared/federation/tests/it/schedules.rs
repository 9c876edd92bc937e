use crate::support::schedule;

#[test]
fn all_nodes_come_to_the_same_bytes_whatever_happens_on_the_way() {
    for seed in 0..80 {
        let outcome = schedule(seed);
        assert!(outcome.rounds.is_some(), "{seed}: {} nodes never agreed", outcome.nodes);
        assert!(outcome.same, "{seed}: they act on different bytes");
    }
}
