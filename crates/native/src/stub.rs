//! The machine code around a tested instruction.
//!
//! Everything is below 2 GiB, so that registers can be loaded and stored by absolute address
//! without a spare register.

/// First page: entry and exit stubs.
pub(crate) const STUBS: u64 = 0x2b5d_3000;
/// Second page: the tested instruction in the middle of INT3s, on which branches land.
pub(crate) const TEST_PAGE: u64 = STUBS + 0x1000;
/// Third page: [`State`].
pub(crate) const STATE: u64 = STUBS + 0x2000;
/// Number of pages of the mapping.
pub(crate) const PAGES: usize = 3;
/// Address of a tested instruction.
pub(crate) const TEST: u64 = TEST_PAGE + 0x800;
/// Offset of the exit stub from [`STUBS`].
const EXIT_OFFSET: usize = 0x800;
/// The exit stub: the fall-through of the tested instruction, and the address at which signal
/// handlers resume.
pub(crate) const EXIT: u64 = STUBS + EXIT_OFFSET as u64;
/// Top of a small stack for moving RFLAGS: the end of the state page.
const STACK: u64 = STATE + 0x1000;

/// The values that the stubs and the signal handler exchange with Rust, at [`STATE`].
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct State {
    pub(crate) gpr: [u64; 16],
    pub(crate) xmm: [u128; 16],
    pub(crate) rflags: u64,
    pub(crate) fs_base: u64,
    pub(crate) gs_base: u64,
    host_rsp: u64,
    host_fs: u64,
    host_gs: u64,
    /// Set to 1 by the signal handler after a trap.
    pub(crate) trapped: u64,
    pub(crate) vector: u64,
    pub(crate) rip: u64,
}

macro_rules! field {
    ($name:ident) => {
        STATE + std::mem::offset_of!(State, $name) as u64
    };
}

/// Returns the bytes of the stub page. `fsgsbase`: the instructions of that name may be used.
pub(crate) fn code(fsgsbase: bool) -> Vec<u8> {
    let mut entry = entry(fsgsbase);
    assert!(entry.len() <= EXIT_OFFSET);
    entry.resize(EXIT_OFFSET, 0xcc);
    entry.extend(exit(fsgsbase));
    entry
}

/// Encodes `jmp rel32` from `at` to `target`.
pub(crate) fn jump(at: u64, target: u64) -> [u8; 5] {
    let distance = (target.wrapping_sub(at + 5) as u32).to_le_bytes();
    [0xe9, distance[0], distance[1], distance[2], distance[3]]
}

fn entry(fsgsbase: bool) -> Vec<u8> {
    let mut a = Assembler::default();
    // push rbx, rbp, r12 to r15
    a.bytes(&[0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57]);
    a.store(4, field!(host_rsp));
    if fsgsbase {
        a.bytes(&[0xf3, 0x48, 0x0f, 0xae, 0xc0]); // rdfsbase rax
        a.store(0, field!(host_fs));
        a.bytes(&[0xf3, 0x48, 0x0f, 0xae, 0xc8]); // rdgsbase rax
        a.store(0, field!(host_gs));
        a.load(0, field!(gs_base));
        a.bytes(&[0xf3, 0x48, 0x0f, 0xae, 0xd8]); // wrgsbase rax
    }
    for i in 0..16 {
        a.xmm(0x10, i, field!(xmm) + 16 * u64::from(i));
    }
    a.stack();
    a.bytes(&[0xff, 0x34, 0x25]); // push qword [rflags]
    a.address(field!(rflags));
    a.bytes(&[0x9d]); // popfq
    for i in (0..16).filter(|&i| i != 4).chain([4]) {
        a.load(i, field!(gpr) + 8 * u64::from(i));
    }
    let here = STUBS + a.0.len() as u64;
    a.bytes(&jump(here, TEST));
    a.0
}

fn exit(fsgsbase: bool) -> Vec<u8> {
    let mut a = Assembler::default();
    for i in 0..16 {
        a.store(i, field!(gpr) + 8 * u64::from(i));
    }
    a.stack();
    a.bytes(&[0x9c, 0x58]); // pushfq; pop rax
    a.store(0, field!(rflags));
    a.bytes(&[0x68, 0x02, 0x02, 0, 0, 0x9d]); // push 0x202; popfq
    for i in 0..16 {
        a.xmm(0x11, i, field!(xmm) + 16 * u64::from(i));
    }
    if fsgsbase {
        a.bytes(&[0xf3, 0x48, 0x0f, 0xae, 0xc0]); // rdfsbase rax
        a.store(0, field!(fs_base));
        a.bytes(&[0xf3, 0x48, 0x0f, 0xae, 0xc8]); // rdgsbase rax
        a.store(0, field!(gs_base));
        a.load(0, field!(host_fs));
        a.bytes(&[0xf3, 0x48, 0x0f, 0xae, 0xd0]); // wrfsbase rax
        a.load(0, field!(host_gs));
        a.bytes(&[0xf3, 0x48, 0x0f, 0xae, 0xd8]); // wrgsbase rax
    }
    a.load(4, field!(host_rsp));
    // pop r15 to r12, rbp, rbx; ret
    a.bytes(&[0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3]);
    a.0
}

#[derive(Default)]
struct Assembler(Vec<u8>);

impl Assembler {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn address(&mut self, address: u64) {
        self.0.extend_from_slice(&(address as u32).to_le_bytes());
    }

    /// Emits REX, `opcode`, and an absolute address with `register` in the reg field.
    fn absolute(&mut self, rex: u8, opcode: &[u8], register: u8, address: u64) {
        self.0.push(0x40 | rex | (register >> 3) << 2);
        self.0.extend_from_slice(opcode);
        self.0.extend_from_slice(&[(register & 7) << 3 | 4, 0x25]);
        self.address(address);
    }

    fn load(&mut self, register: u8, address: u64) {
        self.absolute(8, &[0x8b], register, address);
    }

    fn store(&mut self, register: u8, address: u64) {
        self.absolute(8, &[0x89], register, address);
    }

    /// Emits MOVUPS: `opcode` 10H loads, 11H stores.
    fn xmm(&mut self, opcode: u8, register: u8, address: u64) {
        self.absolute(0, &[0x0f, opcode], register, address);
    }

    /// Emits `mov rsp, imm32`.
    fn stack(&mut self) {
        self.bytes(&[0x48, 0xc7, 0xc4]);
        self.address(STACK);
    }
}
