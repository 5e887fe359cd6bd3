//! Agents: who acts.

pub(crate) const CPUS: u8 = 8;

/// How many agents run code: they have a stack and an arena each.
pub(crate) const RUNNING_AGENTS: u8 = 2 * CPUS + 1;

/// One CPU at one level, or its hardware: what the search schedules.
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
    /// What works beside a CPU's instructions: its store buffer.
    Hardware(u8),
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

    /// The hardware of CPU `cpu`.
    pub const fn hardware(cpu: u8) -> Agent {
        Agent(RUNNING_AGENTS + cpu)
    }

    /// How many agents there can be; their numbers are below this.
    pub const COUNT: u8 = RUNNING_AGENTS + CPUS;

    /// What it is.
    pub const fn role(self) -> Role {
        if self.0 < CPUS {
            Role::Thread(self.0)
        } else if self.0 < 2 * CPUS {
            Role::Interrupt(self.0 - CPUS)
        } else if self.0 < RUNNING_AGENTS {
            Role::Observer
        } else {
            Role::Hardware(self.0 - RUNNING_AGENTS)
        }
    }

    /// Its CPU; the observer runs as CPU 0.
    pub const fn cpu(self) -> u8 {
        match self.role() {
            Role::Thread(cpu) | Role::Interrupt(cpu) | Role::Hardware(cpu) => cpu,
            Role::Observer => 0,
        }
    }
}
