//! A sum tree: numbers that are drawn in proportion to their size, in logarithmic time (Schaul et al. 2016, B.2.1).

/// Numbers, none negative, and the sums of them by halves.
#[derive(Clone)]
pub(crate) struct SumTree {
    /// A binary heap: node n has the children 2n and 2n + 1, the root is 1. Each node is the sum of its children,
    /// so that the tree is a function of its leaves, however they came to be.
    nodes: Vec<f64>,
}

impl SumTree {
    /// So many zeros.
    pub(crate) fn new(len: usize) -> Self {
        Self { nodes: vec![0.0; 2 * len.next_power_of_two()] }
    }

    pub(crate) fn total(&self) -> f64 {
        self.nodes[1]
    }

    pub(crate) fn get(&self, index: usize) -> f64 {
        self.nodes[self.nodes.len() / 2 + index]
    }

    pub(crate) fn set(&mut self, index: usize, value: f64) {
        let mut node = self.nodes.len() / 2 + index;
        self.nodes[node] = value;
        while node > 1 {
            node /= 2;
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
        let mut tree = SumTree::new(5);
        [3.0, 0.0, 1.0, 4.0, 2.0].into_iter().enumerate().for_each(|(i, value)| tree.set(i, value));
        assert_eq!(tree.total(), 10.0);
        let found = [0.0, 2.9, 3.0, 3.9, 4.0, 7.9, 8.0, 9.9].map(|sum| tree.find(sum));
        assert_eq!(found, [0, 0, 2, 2, 3, 3, 4, 4]);
        tree.set(3, 0.5);
        assert_eq!((tree.total(), tree.find(4.4), tree.find(4.5)), (6.5, 3, 4));
        // rounding may ask for a little too much
        assert_eq!(tree.find(6.5), 4);
    }
}
