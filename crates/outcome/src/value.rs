//! Numbers and what they stand for: addresses, values, frames, control registers.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A number of the machine. Serialised as a string, `0x1f`: as a number it would lose digits in many readers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hex(pub u64);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Hex, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number =
            text.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
        number.map(Hex).ok_or_else(|| de::Error::custom(format!("`{text}` is no number 0x…")))
    }
}

impl JsonSchema for Hex {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Hex".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^0x[0-9a-f]{1,16}$" })
    }
}

/// Bytes of memory, with the name of what they belong to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// Linear address.
    pub address: Hex,
    /// Bytes accessed.
    pub size: u8,
    /// The object there with the path to its field, and `+N` where the address is N bytes in:
    /// `mm_a.lam_cr3_mask`.
    pub name: Option<String>,
    /// The region of memory, where nothing there has a name.
    pub region: Option<Region>,
    /// The bytes are not just those of what has the name: more of them, or fewer.
    pub is_part: bool,
}

/// A region of kernel memory outside the image. Those without an owner are of set-up, invariants and final
/// checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum Region {
    /// The heap of set-up.
    SetUpHeap,
    /// The memory that an agent allocates from while it runs.
    Arena {
        /// The agent.
        owner: Option<Agent>,
    },
    /// The page below the stack of an agent, which is not mapped.
    Guard {
        /// The agent.
        owner: Option<Agent>,
    },
    /// The stack of an agent.
    Stack {
        /// The agent.
        owner: Option<Agent>,
    },
}

/// The level at which a CPU runs.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The code `lamprey::cpu` registered.
    Thread,
    /// An interrupt handler.
    Interrupt,
    /// An NMI handler.
    Nmi,
}

/// A CPU at one of its levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// The CPU.
    pub cpu: u8,
    /// Its level.
    pub level: Level,
}

/// A value in memory or in a register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Value {
    /// The number.
    pub bits: Hex,
    /// A name that the scenario has given to the value, or `&` and the object that it is the address of.
    pub name: Option<String>,
}

/// A frame of physical memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PhysicalFrame {
    /// Physical address.
    pub address: Hex,
    /// The object at its first byte, as the kernel sees it.
    pub name: Option<String>,
    /// The address space of which it is the topmost page table.
    pub root_of: Option<String>,
}

/// CR3, decoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cr3 {
    /// The operand.
    pub bits: Hex,
    /// The PCID, where CR4.PCIDE is set.
    pub pcid: Option<u16>,
    /// Physical address of the topmost page table.
    pub root: Hex,
    /// The name of the address space with that root.
    pub mm: Option<String>,
    /// Linear-address masking.
    pub lam: Lam,
    /// Bit 63 of the operand: caches keep what they have under the PCID.
    pub noflush: bool,
}

/// Linear-address masking of user pointers, as CR3 has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Lam {
    /// Off.
    Off,
    /// LAM_U48.
    U48,
    /// LAM_U57.
    U57,
}

/// The level of a paging-structure entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EntryLevel {
    /// Level 1.
    Pte,
    /// Level 2.
    Pde,
    /// Level 3.
    Pdpte,
    /// Level 4.
    Pml4e,
    /// Level 5.
    Pml5e,
}

/// An entry that a CPU's caches may keep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum Kept {
    /// A translation, in the TLB.
    Page {
        /// First linear address of the page.
        va: Hex,
        /// The frame it leads to.
        frame: PhysicalFrame,
        /// The PCID under which it may be used; `None` for a global one.
        pcid: Option<u16>,
    },
    /// A paging-structure entry that refers to a table.
    Table {
        /// Level of the entry.
        level: EntryLevel,
        /// First linear address of the range it serves.
        va: Hex,
        /// The table it leads to.
        frame: PhysicalFrame,
        /// The PCID under which it may be used.
        pcid: u16,
    },
}

/// The way from a linear address to a frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum Route {
    /// A walk from CR3 for this address.
    Walk {
        /// The address.
        va: Hex,
    },
    /// A walk from CR3 that reads the frame as a table.
    Entries {
        /// Level of the entries in the table.
        level: EntryLevel,
        /// First linear address that the table serves.
        va: Hex,
    },
    /// An entry that may be cached.
    Kept {
        /// The entry.
        entry: Kept,
    },
    /// A walk for an address from a paging-structure entry that may be cached.
    Partly {
        /// Level of that entry.
        level: EntryLevel,
        /// The address.
        va: Hex,
    },
}

/// An exception.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// Vector.
    pub vector: u8,
    /// Error code; 0 for an exception that has none.
    pub code: u32,
}
