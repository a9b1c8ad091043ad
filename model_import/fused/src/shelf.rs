//! Packed weights of all engines of a crew: those that are the same exist once.
//!
//! Networks that differ in paddings or normalisation have most of them in common. Contents decide, so
//! nothing need be known of what they were made of. Must not know: how weights are packed.

use std::sync::{Arc, Weak};

use crate::pack::Panels;

/// See the module. Weights that no engine uses are gone.
#[derive(Default)]
pub(crate) struct Shelf(Vec<Weak<Panels>>);

impl Shelf {
    /// Replaces `panels` by those that are there and the same, if there are such; else they are
    /// there from now on.
    pub(crate) fn share(&mut self, panels: &mut Arc<Panels>) {
        self.0.retain(|kept| kept.strong_count() > 0);
        let mut kept = self.0.iter().filter_map(Weak::upgrade);
        match kept.find(|kept| kept == panels) {
            Some(same) => *panels = same,
            None => self.0.push(Arc::downgrade(panels)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Block;
    use crate::pack::Panel;

    fn panels(number: f32, channels: usize) -> Arc<Panels> {
        let mut weights = Block::new(64);
        weights.elements_mut::<f32>()[7] = number;
        Arc::new(Panels {
            weights,
            panels: vec![Panel {
                start: 0,
                channel: 0,
                channels,
            }],
            bytes: 64,
        })
    }

    #[test]
    fn only_the_same_weights_in_the_same_panels_are_shared_and_only_while_used() {
        let mut shelf = Shelf::default();
        let mut first = panels(1.0, 16);
        shelf.share(&mut first);
        for (number, channels, is_shared) in [(1.0, 16, true), (2.0, 16, false), (1.0, 32, false)] {
            let mut other = panels(number, channels);
            shelf.share(&mut other);
            assert_eq!(
                Arc::ptr_eq(&first, &other),
                is_shared,
                "{number} {channels}"
            );
        }
        let gone = Arc::downgrade(&first);
        drop(first);
        assert!(gone.upgrade().is_none(), "the shelf keeps what nobody uses");
        shelf.share(&mut panels(1.0, 16));
        assert_eq!(shelf.0.len(), 1);
    }
}
