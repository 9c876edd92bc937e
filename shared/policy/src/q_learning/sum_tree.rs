//! A sum tree: numbers that are drawn in proportion to their size, in logarithmic time (Schaul et al. 2016, B.2.1).

/// Numbers, none negative, and the sums of them by halves. It grows with its numbers: how many there may be says nothing
/// about how many there are.
#[derive(Clone)]
pub(crate) struct SumTree {
    /// A binary heap: node n has the children 2n and 2n + 1, the root is 1. Each node is the sum of its children,
    /// so that the tree is a function of its leaves, however they came to be.
    nodes: Vec<f64>,
}

impl SumTree {
    /// No numbers.
    pub(crate) fn new() -> Self {
        Self { nodes: vec![0.0; 2] }
    }

    pub(crate) fn total(&self) -> f64 {
        self.nodes[1]
    }

    /// 0 where no number was set.
    pub(crate) fn get(&self, index: usize) -> f64 {
        self.nodes.get(self.nodes.len() / 2 + index).copied().unwrap_or_default()
    }

    pub(crate) fn set(&mut self, index: usize, value: f64) {
        if index >= self.nodes.len() / 2 {
            self.grow((index + 1).next_power_of_two());
        }
        let mut node = self.nodes.len() / 2 + index;
        self.nodes[node] = value;
        while node > 1 {
            node /= 2;
            self.nodes[node] = self.nodes[2 * node] + self.nodes[2 * node + 1];
        }
    }

    /// Makes room for so many: what was the tree is the left half of it, as often as it takes.
    fn grow(&mut self, leaves: usize) {
        let numbers = self.nodes.split_off(self.nodes.len() / 2);
        self.nodes = vec![0.0; 2 * leaves];
        self.nodes[leaves..leaves + numbers.len()].copy_from_slice(&numbers);
        for node in (1..leaves).rev() {
            self.nodes[node] = self.nodes[2 * node] + self.nodes[2 * node + 1];
        }
    }

    /// The index at which the sum of the numbers up to it exceeds `sum`, which must be below the total.
    pub(crate) fn find(&self, mut sum: f64) -> usize {
        let leaves = self.nodes.len() / 2;
        let mut node = 1;
        while node < leaves {
            node *= 2;
            // where rounding leaves something over, nothing is to be found in a half that is empty
            if sum >= self.nodes[node] && self.nodes[node + 1] > 0.0 {
                sum -= self.nodes[node];
                node += 1;
            }
        }
        node - leaves
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_leads_to_the_number_that_it_lies_in() {
        let mut tree = SumTree::new();
        [3.0, 0.0, 1.0, 4.0, 2.0].into_iter().enumerate().for_each(|(i, value)| tree.set(i, value));
        assert_eq!(tree.total(), 10.0);
        let found = [0.0, 2.9, 3.0, 3.9, 4.0, 7.9, 8.0, 9.9].map(|sum| tree.find(sum));
        assert_eq!(found, [0, 0, 2, 2, 3, 3, 4, 4]);
        tree.set(3, 0.5);
        assert_eq!((tree.total(), tree.find(4.4), tree.find(4.5)), (6.5, 3, 4));
        // rounding may ask for a little too much
        assert_eq!(tree.find(6.5), 4);
    }

    #[test]
    fn room_is_made_when_it_is_needed_and_what_was_there_stays() {
        let mut tree = SumTree::new();
        assert_eq!((tree.total(), tree.get(1 << 40)), (0.0, 0.0));
        for index in 0..100 {
            tree.set(index, 1.0);
            assert_eq!((tree.total(), tree.find(index as f64 + 0.5)), (index as f64 + 1.0, index));
        }
        assert_eq!((tree.get(99), tree.get(100)), (1.0, 0.0));
    }
}
