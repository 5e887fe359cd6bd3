//! Agents: who acts.

pub(crate) const CPUS: u8 = 8;

/// How many agents have a stack and an arena of their own.
pub(crate) const RUNNING_AGENTS: u8 = 3 * CPUS + 1;

/// How many levels a CPU has: thread, interrupt, NMI, NMI within an NMI.
pub(crate) const LEVELS: usize = 4;

/// How many of them have a stack of their own: an NMI within an NMI has the stack of that.
pub(crate) const STACKS: usize = 3;

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
    /// The NMI handler of a CPU.
    Nmi(u8),
    /// The NMI handler of a CPU, in an NMI that came before the first had returned.
    NestedNmi(u8),
    /// Set-up, invariants and the final check; never interleaved.
    Observer,
    /// What works beside a CPU's instructions: its store buffer.
    Hardware(u8),
}

impl Agent {
    /// Set-up, invariants and the final check.
    pub const OBSERVER: Agent = Agent(3 * CPUS);

    /// The thread of CPU `cpu`.
    pub const fn thread(cpu: u8) -> Agent {
        Agent(cpu)
    }

    /// The interrupt level of CPU `cpu`.
    pub const fn interrupt(cpu: u8) -> Agent {
        Agent(CPUS + cpu)
    }

    /// The NMI level of CPU `cpu`.
    pub const fn nmi(cpu: u8) -> Agent {
        Agent(2 * CPUS + cpu)
    }

    /// The level of CPU `cpu` above its NMI level. An agent of its own, so that what it does conflicts
    /// with what it interrupts; it runs on the same stack, as through the IST.
    pub const fn nested_nmi(cpu: u8) -> Agent {
        Agent(RUNNING_AGENTS + CPUS + cpu)
    }

    /// The hardware of CPU `cpu`.
    pub const fn hardware(cpu: u8) -> Agent {
        Agent(RUNNING_AGENTS + cpu)
    }

    /// How many agents there can be; their numbers are below this.
    pub const COUNT: u8 = RUNNING_AGENTS + 2 * CPUS;

    /// What it is.
    pub const fn role(self) -> Role {
        if self.0 < CPUS {
            Role::Thread(self.0)
        } else if self.0 < 2 * CPUS {
            Role::Interrupt(self.0 - CPUS)
        } else if self.0 < 3 * CPUS {
            Role::Nmi(self.0 - 2 * CPUS)
        } else if self.0 < RUNNING_AGENTS {
            Role::Observer
        } else if self.0 < RUNNING_AGENTS + CPUS {
            Role::Hardware(self.0 - RUNNING_AGENTS)
        } else {
            Role::NestedNmi(self.0 - RUNNING_AGENTS - CPUS)
        }
    }

    /// The number of its level, which is below [`LEVELS`]: a higher one interrupts a lower one.
    pub(crate) const fn level(self) -> usize {
        match self.role() {
            Role::Thread(_) | Role::Observer | Role::Hardware(_) => 0,
            Role::Interrupt(_) => 1,
            Role::Nmi(_) => 2,
            Role::NestedNmi(_) => 3,
        }
    }

    /// The agent of CPU `cpu` at the level of that number.
    pub(crate) const fn at_level(cpu: u8, level: usize) -> Agent {
        match level {
            0 => Agent::thread(cpu),
            1 => Agent::interrupt(cpu),
            2 => Agent::nmi(cpu),
            _ => Agent::nested_nmi(cpu),
        }
    }

    /// Is it an NMI handler?
    pub(crate) const fn is_nmi(self) -> bool {
        self.level() >= 2
    }

    /// Its CPU; the observer runs as CPU 0.
    pub const fn cpu(self) -> u8 {
        match self.role() {
            Role::Thread(cpu)
            | Role::Interrupt(cpu)
            | Role::Nmi(cpu)
            | Role::NestedNmi(cpu)
            | Role::Hardware(cpu) => cpu,
            Role::Observer => 0,
        }
    }
}
