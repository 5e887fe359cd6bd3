//! Agents: who acts.

pub(crate) const CPUS: u8 = 8;

/// How many agents there can be.
pub(crate) const AGENTS: u8 = 2 * CPUS + 1;

/// One CPU at one level: what has a stack and registers of its own, and what the search schedules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Agent(pub u8);

/// What an [`Agent`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The code that a CPU runs.
    Thread(u8),
    /// The interrupt handlers of a CPU.
    Interrupt(u8),
    /// Set-up, invariants and the final check; never interleaved.
    Observer,
}

impl Agent {
    /// Set-up, invariants and the final check.
    pub const OBSERVER: Agent = Agent(2 * CPUS);

    /// The thread of CPU `cpu`.
    pub const fn thread(cpu: u8) -> Agent {
        Agent(cpu)
    }

    /// The interrupt level of CPU `cpu`.
    pub const fn interrupt(cpu: u8) -> Agent {
        Agent(CPUS + cpu)
    }

    /// What it is.
    pub const fn role(self) -> Role {
        if self.0 < CPUS {
            Role::Thread(self.0)
        } else if self.0 < 2 * CPUS {
            Role::Interrupt(self.0 - CPUS)
        } else {
            Role::Observer
        }
    }

    /// Its CPU; the observer runs as CPU 0.
    pub const fn cpu(self) -> u8 {
        match self.role() {
            Role::Thread(cpu) | Role::Interrupt(cpu) => cpu,
            Role::Observer => 0,
        }
    }
}
