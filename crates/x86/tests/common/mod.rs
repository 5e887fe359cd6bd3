//! A machine for tests: flat memory, and a log of the calls to it.
#![allow(dead_code, reason = "each test uses a part")]

use x86::{At, Env, FarReturn, Fault, Fence, IfChange, Regs, Segment, Table};

/// A call of an instruction to the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Load(At),
    Store(At, u128),
    Fence(Fence),
    Flag(IfChange),
    Hlt,
    ReadCr(u8),
    WriteCr(u8, u64),
    Invlpg(u64),
    Invpcid(u64, [u64; 2]),
    Rdmsr(u32),
    Wrmsr(u32, u64),
    Cpuid(u32, u32),
    Rdtsc,
    Selector(Segment),
    LoadSegment(Segment, u16),
    Table(Table),
    LoadTable(Table, u64, u16),
    LoadTask(u16),
    FarReturn(FarReturn),
    PortIn(u16, u8),
    PortOut(u16, u8, u32),
}

/// 4 KiB of memory at a base, and the log if one is kept.
pub(crate) struct Flat {
    pub(crate) base: u64,
    pub(crate) memory: Vec<u8>,
    pub(crate) log: Option<Vec<Event>>,
    /// The address whose store faults.
    pub(crate) read_only: Option<u64>,
    pub(crate) fsgsbase: bool,
    pub(crate) smap: bool,
    pub(crate) cpl: u8,
    /// Vector and return address of a software interrupt.
    pub(crate) interrupt: Option<(u8, u64)>,
}

impl Flat {
    pub(crate) fn new(base: u64) -> Flat {
        Flat {
            base,
            memory: vec![0; 0x1000],
            log: None,
            read_only: None,
            fsgsbase: true,
            smap: true,
            cpl: 0,
            interrupt: None,
        }
    }

    pub(crate) fn logging(base: u64) -> Flat {
        Flat { log: Some(Vec::new()), ..Flat::new(base) }
    }

    fn note(&mut self, event: Event) {
        if let Some(log) = &mut self.log {
            log.push(event);
        }
    }

    fn place(&self, at: At) -> Result<usize, Fault> {
        let start = at.va.wrapping_sub(self.base);
        if start > 0x1000 - u64::from(at.size) {
            return Err(Fault { vector: 14, code: 0, va: at.va });
        }
        Ok(start as usize)
    }
}

/// Returns registers that are zero but for RFLAGS.
pub(crate) fn regs() -> Regs {
    Regs {
        gpr: [0; 16],
        rip: 0,
        rflags: x86::flags::FIXED,
        xmm: [0; 16],
        fs_base: 0,
        gs_base: 0,
        kernel_gs_base: 0,
    }
}

impl Env for Flat {
    type Stop = Fault;

    fn unmodelled(&mut self, what: String) -> Fault {
        unreachable!("{what}")
    }

    fn load(&mut self, at: At) -> Result<u64, Fault> {
        self.note(Event::Load(at));
        let start = self.place(at)?;
        let bytes = &self.memory[start..];
        Ok(match at.size {
            1 => u64::from(bytes[0]),
            2 => u64::from(u16::from_le_bytes(bytes[..2].try_into().unwrap())),
            4 => u64::from(u32::from_le_bytes(bytes[..4].try_into().unwrap())),
            _ => u64::from_le_bytes(bytes[..8].try_into().unwrap()),
        })
    }

    fn store(&mut self, at: At, value: u64) -> Result<(), Fault> {
        self.note(Event::Store(at, value.into()));
        let start = self.place(at)?;
        if self.read_only == Some(at.va) {
            return Err(Fault { vector: 14, code: 2, va: at.va });
        }
        let bytes = &mut self.memory[start..];
        match at.size {
            1 => bytes[0] = value as u8,
            2 => bytes[..2].copy_from_slice(&(value as u16).to_le_bytes()),
            4 => bytes[..4].copy_from_slice(&(value as u32).to_le_bytes()),
            _ => bytes[..8].copy_from_slice(&value.to_le_bytes()),
        }
        Ok(())
    }

    fn load128(&mut self, at: At) -> Result<u128, Fault> {
        self.note(Event::Load(at));
        let start = self.place(at)?;
        Ok(u128::from_le_bytes(self.memory[start..start + 16].try_into().unwrap()))
    }

    fn store128(&mut self, at: At, value: u128) -> Result<(), Fault> {
        self.note(Event::Store(at, value));
        let start = self.place(at)?;
        self.memory[start..start + 16].copy_from_slice(&value.to_le_bytes());
        Ok(())
    }

    fn fence(&mut self, fence: Fence) -> Result<(), Fault> {
        self.note(Event::Fence(fence));
        Ok(())
    }

    fn cpl(&self) -> u8 {
        self.cpl
    }

    fn interrupt_flag(&mut self, _: &Regs, change: IfChange) -> Result<(), Fault> {
        self.note(Event::Flag(change));
        Ok(())
    }

    fn hlt(&mut self, _: &Regs) -> Result<(), Fault> {
        self.note(Event::Hlt);
        Ok(())
    }

    fn read_cr(&mut self, cr: u8) -> Result<u64, Fault> {
        self.note(Event::ReadCr(cr));
        Ok(0xc0 + u64::from(cr))
    }

    fn write_cr(&mut self, cr: u8, value: u64) -> Result<(), Fault> {
        self.note(Event::WriteCr(cr, value));
        Ok(())
    }

    fn invlpg(&mut self, va: u64) -> Result<(), Fault> {
        self.note(Event::Invlpg(va));
        Ok(())
    }

    fn invpcid(&mut self, kind: u64, descriptor: [u64; 2]) -> Result<(), Fault> {
        self.note(Event::Invpcid(kind, descriptor));
        Ok(())
    }

    fn rdmsr(&mut self, _: &Regs, msr: u32) -> Result<u64, Fault> {
        self.note(Event::Rdmsr(msr));
        Ok(0x1111_2222_3333_4444)
    }

    fn wrmsr(&mut self, _: &mut Regs, msr: u32, value: u64) -> Result<(), Fault> {
        self.note(Event::Wrmsr(msr, value));
        Ok(())
    }

    fn fsgsbase(&mut self) -> Result<bool, Self::Stop> {
        Ok(self.fsgsbase)
    }

    fn cpuid(&mut self, leaf: u32, subleaf: u32) -> Result<[u32; 4], Fault> {
        self.note(Event::Cpuid(leaf, subleaf));
        Ok([1, 2, 3, 4])
    }

    fn rdtsc(&mut self) -> Result<u64, Fault> {
        self.note(Event::Rdtsc);
        Ok(0x5555_6666_7777_8888)
    }

    fn selector(&mut self, segment: Segment) -> Result<u16, Fault> {
        self.note(Event::Selector(segment));
        Ok(0xabcd)
    }

    fn load_segment(&mut self, _: &mut Regs, segment: Segment, value: u16) -> Result<(), Fault> {
        self.note(Event::LoadSegment(segment, value));
        Ok(())
    }

    fn table(&mut self, table: Table) -> Result<(u64, u16), Fault> {
        self.note(Event::Table(table));
        Ok((0x1122_3344_5566_7788, 0x99aa))
    }

    fn load_table(&mut self, table: Table, base: u64, limit: u16) -> Result<(), Fault> {
        self.note(Event::LoadTable(table, base, limit));
        Ok(())
    }

    fn load_task_register(&mut self, selector: u16) -> Result<(), Fault> {
        self.note(Event::LoadTask(selector));
        Ok(())
    }

    fn far_return(&mut self, _: &mut Regs, to: &FarReturn) -> Result<(), Fault> {
        self.note(Event::FarReturn(*to));
        if to.cs & !3 == 0 { Err(Fault::GP) } else { Ok(()) }
    }

    fn software_interrupt(&mut self, vector: u8, next: u64) -> Fault {
        self.interrupt = Some((vector, next));
        Fault { vector, code: 0, va: 0 }
    }

    fn port_in(&mut self, port: u16, size: u8) -> Result<u32, Fault> {
        self.note(Event::PortIn(port, size));
        Ok(0x8765_4321)
    }

    fn port_out(&mut self, port: u16, size: u8, value: u32) -> Result<(), Fault> {
        self.note(Event::PortOut(port, size, value));
        Ok(())
    }

    fn smap(&mut self) -> Result<bool, Fault> {
        Ok(self.smap)
    }
}
