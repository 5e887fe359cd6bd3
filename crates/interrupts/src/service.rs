//! Interrupts in service, and the processor priority that follows (SDM vol. 3 §10.8.3 to §10.8.5).

use crate::vectors::{Vectors, class};

/// The in-service register: vectors that were delivered and whose handlers have not written to EOI (SDM vol.
/// 3 §10.8.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InService(Vectors);

impl InService {
    /// `vector` is delivered (SDM vol. 3 §10.8.4).
    #[inline]
    pub fn begin(&mut self, vector: u8) {
        self.0.insert(vector);
    }

    /// Ends the highest, as a write to EOI does; returns it (SDM vol. 3 §10.8.5).
    #[inline]
    pub fn end(&mut self) -> Option<u8> {
        let highest = self.0.highest()?;
        self.0.remove(highest);
        Some(highest)
    }

    /// Returns the bits of the register.
    #[inline]
    #[must_use]
    pub fn vectors(self) -> Vectors {
        self.0
    }
}

/// Returns the processor priority: the higher class of the task priority and of what is in service (SDM vol.
/// 3 §10.8.3.1).
#[inline]
#[must_use]
pub fn processor_priority(task: u8, in_service: InService) -> u8 {
    let service = in_service.0.highest().unwrap_or(0);
    if class(task) >= class(service) { task } else { service & 0xf0 }
}

/// Tells whether `vector` is of a class above the processor priority, and so is delivered (SDM vol. 3
/// §10.8.3.1).
#[inline]
#[must_use]
pub fn exceeds(vector: u8, priority: u8) -> bool {
    class(vector) > class(priority)
}

/// Returns the interrupt that a local APIC with these requests delivers: the highest vector, if the processor
/// priority lets it pass (SDM vol. 3 §10.8.3.1 and §10.8.4).
#[inline]
#[must_use]
pub fn deliverable(requested: Vectors, priority: u8) -> Option<u8> {
    requested.highest().filter(|vector| exceeds(*vector, priority))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_service(vectors: &[u8]) -> InService {
        let mut all = InService::default();
        vectors.iter().for_each(|vector| all.begin(*vector));
        all
    }

    #[test]
    fn the_processor_priority_is_that_of_the_manuals_table() {
        // Task priority, in service; processor priority.
        let table: [(u8, &[u8], u8); 7] = [
            (0, &[], 0),
            (0x23, &[], 0x23),
            (0, &[0x41], 0x40),
            (0x35, &[0x41], 0x40),
            (0x45, &[0x41], 0x45),
            (0x52, &[0x41], 0x52),
            (0, &[0x41, 0x6f, 0x52], 0x60),
        ];
        for (task, service, priority) in table {
            assert_eq!(processor_priority(task, in_service(service)), priority, "{task:#x}");
        }
    }

    #[test]
    fn only_a_higher_class_is_delivered() {
        // Requested, priority; delivered.
        let table: [(&[u8], u8, Option<u8>); 6] = [
            (&[], 0, None),
            (&[0x41, 0x52, 0x43], 0, Some(0x52)),
            (&[0x41, 0x52, 0x43], 0x50, None),
            (&[0x41, 0x4f], 0x3f, Some(0x4f)),
            (&[0x4f], 0x40, None),
            (&[0x0f], 0, None),
        ];
        for (requested, priority, delivered) in table {
            let requested = requested.iter().copied().collect();
            assert_eq!(deliverable(requested, priority), delivered, "{priority:#x}");
        }
    }

    #[test]
    fn the_end_of_an_interrupt_is_that_of_the_highest_alone() {
        let mut all = in_service(&[0x41, 0x52, 0x43]);
        let ended: Vec<_> = (0..4).map(|_| all.end()).collect();
        assert_eq!(ended, [Some(0x52), Some(0x43), Some(0x41), None]);
    }
}
