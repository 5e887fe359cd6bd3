//! Addresses and numbers that both sides rely on.

/// Version of everything in this crate; a guest of another version is refused.
pub const VERSION: u64 = 1;

/// The largest number of CPUs in a scenario.
pub const MAX_CPUS: usize = 8;

/// The address at which a guest image is linked: the kernel's place in the topmost 2 GiB.
pub const IMAGE_BASE: u64 = 0xffff_ffff_8100_0000;

/// First address of the direct map, from which `alloc` and the stacks are served.
pub const HEAP_BASE: u64 = 0xffff_8880_0000_0000;

/// Physical address of the first byte of the heap: `pa = va - HEAP_BASE + HEAP_PHYS`.
pub const HEAP_PHYS: u64 = 0x100_0000;

/// First user address that is mapped. User memory is flat: every address space maps the same bytes.
pub const USER_BASE: u64 = 0x0000_7fff_dead_0000;

/// Size of the mapped user memory in bytes.
pub const USER_SIZE: u64 = 0x1_0000;

/// The first interrupt vector that a scenario may use.
pub const FIRST_VECTOR: u8 = 32;
