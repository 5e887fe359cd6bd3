//! A local APIC in x2APIC mode (SDM vol. 3 §10.4 to §10.8 and §10.12): requests, priorities, and who an
//! interprocessor interrupt is for.
//!
//! Only other CPUs and the CPU itself send interrupts; all are edge-triggered. The local vector table is
//! kept and read back, since nothing arrives at its pins; the timer cannot be started.

use x86::Fault;

use super::bits::{low8, low32};
use crate::apic::msr::{EOI, FIRST, ICR, ID, LAST, SELF_IPI};
use crate::control::Refusal;

/// The MSRs of x2APIC registers.
pub(super) const REGISTERS: std::ops::RangeInclusive<u32> = FIRST..=LAST;

const BASE_ADDRESS: u64 = 0xfee0_0000;
const BASE_BSP: u64 = 1 << 8;
const BASE_X2APIC: u64 = 1 << 10;
const BASE_ENABLED: u64 = 1 << 11;

const VERSION: u32 = 0x803;
const TPR: u32 = 0x808;
const PPR: u32 = 0x80a;
const LDR: u32 = 0x80d;
const SVR: u32 = 0x80f;
const ISR: u32 = 0x810;
const TMR: u32 = 0x818;
const IRR: u32 = 0x820;
const ESR: u32 = 0x828;
const LVT_FIRST: u32 = 0x832;
const LVT_LAST: u32 = 0x837;
const INITIAL_COUNT: u32 = 0x838;
const CURRENT_COUNT: u32 = 0x839;
const DIVIDE: u32 = 0x83e;

/// An integrated APIC; the last of 6 entries of the local vector table.
const VERSION_VALUE: u64 = 0x14 | 5 << 16;
const SOFTWARE_ENABLED: u32 = 1 << 8;
/// Focus checking, and the vector.
const SVR_DEFINED: u64 = 0x3ff;
const LVT_MASKED: u32 = 1 << 16;
const LVT_DEFINED: u64 = 0x7_f7ff;
const SEND_ILLEGAL_VECTOR: u32 = 1 << 5;
const BROADCAST: u32 = u32::MAX;

/// 256 bits, one for each vector.
type Vectors = [u64; 4];

/// The highest vector in `set`.
fn highest(set: &Vectors) -> Option<u8> {
    (0u8..4).rev().find_map(|word| {
        let bits = set[usize::from(word)];
        (bits != 0).then(|| 64 * word + low8(63 - u64::from(bits.leading_zeros())))
    })
}

fn place(vector: u8) -> (usize, u64) {
    (usize::from(vector / 64), 1 << (vector % 64))
}

/// 32 bits of `set`, as registers show it.
fn part(set: &Vectors, number: u32) -> u64 {
    let word = set[usize::try_from(number / 2 % 4).expect("below 4")];
    word >> (32 * (number % 2)) & 0xffff_ffff
}

/// Priority class: bits 7:4.
fn class(vector: u8) -> u8 {
    vector >> 4
}

/// One local APIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Apic {
    id: u32,
    base: u64,
    tpr: u8,
    svr: u32,
    esr: [u32; 2],
    lvt: [u32; 6],
    divide: u32,
    icr: u64,
    requested: Vectors,
    in_service: Vectors,
    /// An NMI waits. There is one latch: further ones are lost (SDM vol. 3 §6.7.1).
    pub(super) nmi: bool,
}

impl Apic {
    /// After reset; CPU 0 is the bootstrap processor.
    pub(super) fn new(number: u8) -> Apic {
        let bsp = if number == 0 { BASE_BSP } else { 0 };
        Apic {
            id: number.into(),
            base: BASE_ADDRESS | BASE_ENABLED | bsp,
            tpr: 0,
            svr: 0xff,
            esr: [0; 2],
            lvt: [LVT_MASKED; 6],
            divide: 0,
            icr: 0,
            requested: [0; 4],
            in_service: [0; 4],
            nmi: false,
        }
    }

    /// IA32_APIC_BASE.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// WRMSR to IA32_APIC_BASE (SDM vol. 3 §10.12.1 and figure 10-27).
    pub(super) fn set_base(&mut self, value: u64) -> Result<(), Refusal> {
        let mode = |value: u64| value & (BASE_ENABLED | BASE_X2APIC);
        let reserved = value & !(BASE_ADDRESS | 0xfff_ffff_f000 | 0xd00);
        let (from, to) = (mode(self.base), mode(value));
        let allowed = from == to || from == BASE_ENABLED && to == BASE_ENABLED | BASE_X2APIC;
        if reserved != 0
            || to == BASE_X2APIC
            || from == BASE_ENABLED | BASE_X2APIC && to == BASE_ENABLED
        {
            return Err(Refusal::Fault(Fault::GP));
        }
        if !allowed || (value ^ self.base) & !(BASE_ENABLED | BASE_X2APIC) != 0 {
            let what = "IA32_APIC_BASE: an APIC that moves or is turned off";
            return Err(Refusal::Unmodelled(what.into()));
        }
        self.base = value;
        Ok(())
    }

    fn is_x2apic(&self) -> bool {
        self.base & BASE_X2APIC != 0
    }

    /// The task priority class, which is CR8 (SDM vol. 3 §10.8.6).
    pub(super) fn cr8(&self) -> u64 {
        u64::from(self.tpr >> 4)
    }

    /// MOV to CR8.
    pub(super) fn set_cr8(&mut self, value: u64) -> Result<(), Refusal> {
        if value > 15 {
            return Err(Refusal::Fault(Fault::GP));
        }
        self.tpr = low8(value << 4);
        Ok(())
    }

    /// Processor priority (SDM vol. 3 §10.8.3.1).
    fn ppr(&self) -> u8 {
        let service = highest(&self.in_service).unwrap_or(0);
        if class(self.tpr) >= class(service) { self.tpr } else { service & 0xf0 }
    }

    /// The interrupt it would deliver.
    pub(super) fn deliverable(&self) -> Option<u8> {
        highest(&self.requested).filter(|vector| class(*vector) > class(self.ppr()))
    }

    /// The CPU takes `vector`, which is [`Apic::deliverable`].
    pub(super) fn acknowledge(&mut self, vector: u8) {
        let (word, bit) = place(vector);
        self.requested[word] &= !bit;
        self.in_service[word] |= bit;
    }

    /// A fixed interrupt arrives. While disabled by software it accepts none (SDM vol. 3 §10.4.7.2).
    fn request(&mut self, vector: u8) {
        if self.svr & SOFTWARE_ENABLED != 0 {
            let (word, bit) = place(vector);
            self.requested[word] |= bit;
        }
    }

    fn end(&mut self) {
        if let Some(vector) = highest(&self.in_service) {
            let (word, bit) = place(vector);
            self.in_service[word] &= !bit;
        }
    }

    /// Cluster and bit (SDM vol. 3 §10.12.10.2).
    fn logical(&self) -> u32 {
        self.id >> 4 << 16 | 1 << (self.id & 0xf)
    }

    /// RDMSR of an x2APIC register (SDM vol. 3 table 10-6).
    pub(super) fn read(&self, register: u32) -> Result<u64, Refusal> {
        if !self.is_x2apic() {
            return Err(Refusal::Fault(Fault::GP));
        }
        Ok(match register {
            ID => self.id.into(),
            VERSION => VERSION_VALUE,
            TPR => self.tpr.into(),
            PPR => self.ppr().into(),
            LDR => self.logical().into(),
            SVR => self.svr.into(),
            ISR..=0x817 => part(&self.in_service, register - ISR),
            TMR..=0x81f => 0,
            IRR..=0x827 => part(&self.requested, register - IRR),
            ESR => self.esr[0].into(),
            ICR => self.icr,
            LVT_FIRST..=LVT_LAST => self.lvt[local(register)].into(),
            INITIAL_COUNT | CURRENT_COUNT => 0,
            DIVIDE => self.divide.into(),
            _ => return Err(Refusal::Fault(Fault::GP)),
        })
    }

    /// WRMSR to an x2APIC register other than [`ICR`] and the self-IPI register.
    fn write(&mut self, register: u32, value: u64) -> Result<(), Refusal> {
        let allowed = match register {
            TPR => 0xff,
            SVR => SVR_DEFINED,
            LVT_FIRST..=LVT_LAST => LVT_DEFINED,
            INITIAL_COUNT => 0xffff_ffff,
            DIVIDE => 0xb,
            EOI | ESR => 0,
            _ => return Err(Refusal::Fault(Fault::GP)),
        };
        if value & !allowed != 0 {
            return Err(Refusal::Fault(Fault::GP));
        }
        match register {
            TPR => self.tpr = low8(value),
            EOI => self.end(),
            SVR => self.set_svr(low32(value)),
            ESR => self.esr = [self.esr[1], 0],
            LVT_FIRST..=LVT_LAST => {
                let disabled = self.svr & SOFTWARE_ENABLED == 0;
                let mask = if disabled { LVT_MASKED } else { 0 };
                self.lvt[local(register)] = low32(value) | mask;
            }
            INITIAL_COUNT if value != 0 => {
                return Err(Refusal::Unmodelled("the timer of the local APIC".into()));
            }
            INITIAL_COUNT => {}
            _ => self.divide = low32(value),
        }
        Ok(())
    }

    fn set_svr(&mut self, value: u32) {
        self.svr = value;
        if value & SOFTWARE_ENABLED == 0 {
            self.lvt.iter_mut().for_each(|entry| *entry |= LVT_MASKED);
        }
    }
}

/// Place of a register of the local vector table.
fn local(register: u32) -> usize {
    usize::try_from(register - LVT_FIRST).expect("below 6")
}

/// WRMSR to an x2APIC register by CPU `number`.
pub(super) fn write(
    apics: &mut [Apic],
    number: u8,
    register: u32,
    value: u64,
) -> Result<(), Refusal> {
    let own = &mut apics[usize::from(number)];
    if !own.is_x2apic() {
        return Err(Refusal::Fault(Fault::GP));
    }
    match register {
        ICR => send(apics, number, value),
        SELF_IPI if value > 0xff => Err(Refusal::Fault(Fault::GP)),
        SELF_IPI => {
            send_fixed(apics, number, low8(value), |apic| apic.id == u32::from(number));
            Ok(())
        }
        _ => own.write(register, value),
    }
}

/// WRMSR to the command register (SDM vol. 3 §10.6.1, §10.12.9).
fn send(apics: &mut [Apic], number: u8, value: u64) -> Result<(), Refusal> {
    const RESERVED: u64 = 0xfff3_3000;
    if value & RESERVED != 0 {
        return Err(Refusal::Fault(Fault::GP));
    }
    if value & 1 << 15 != 0 {
        return unmodelled("an IPI with level triggering");
    }
    let sender = u32::from(number);
    apics[usize::from(number)].icr = value;
    let destination = low32(value >> 32);
    let logical = value & 1 << 11 != 0;
    let shorthand = value >> 18 & 3;
    let is_meant = |apic: &Apic| match shorthand {
        1 => apic.id == sender,
        2 => true,
        3 => apic.id != sender,
        _ if destination == BROADCAST => true,
        _ if logical => {
            let own = apic.logical();
            own >> 16 == destination >> 16 && own & destination & 0xffff != 0
        }
        _ => apic.id == destination,
    };
    match (value >> 8 & 7, shorthand) {
        (0, _) => send_fixed(apics, number, low8(value), is_meant),
        (4, 0 | 3) => apics.iter_mut().filter(|apic| is_meant(apic)).for_each(|a| a.nmi = true),
        (4, _) => return unmodelled("an NMI with a shorthand that includes the sender"),
        (1, _) => return unmodelled("an interrupt of lowest priority"),
        (2, _) => return unmodelled("an SMI"),
        (5, _) => return unmodelled("an INIT"),
        (6, _) => return unmodelled("a start-up IPI: every CPU runs from the start"),
        (mode, _) => return unmodelled(&format!("an IPI of the reserved delivery mode {mode}")),
    }
    Ok(())
}

fn unmodelled(what: &str) -> Result<(), Refusal> {
    Err(Refusal::Unmodelled(what.into()))
}

/// Vectors below 16 are errors of the sender (SDM vol. 3 §10.5.2).
fn send_fixed(apics: &mut [Apic], number: u8, vector: u8, is_meant: impl Fn(&Apic) -> bool) {
    if vector < 16 {
        apics[usize::from(number)].esr[1] |= SEND_ILLEGAL_VECTOR;
        return;
    }
    apics.iter_mut().filter(|apic| is_meant(apic)).for_each(|apic| apic.request(vector));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two, in x2APIC mode and enabled.
    fn two() -> Vec<Apic> {
        let mut apics = vec![Apic::new(0), Apic::new(1)];
        for number in [0, 1] {
            let base = apics[usize::from(number)].base();
            apics[usize::from(number)].set_base(base | BASE_X2APIC).expect("from xAPIC mode");
            write(&mut apics, number, SVR, 0x1ff).expect("a legal value");
        }
        apics
    }

    #[test]
    fn registers_are_there_in_x2apic_mode_only() {
        let mut apic = Apic::new(0);
        assert_eq!(apic.read(ID), Err(Refusal::Fault(Fault::GP)));
        apic.set_base(apic.base() | BASE_X2APIC).expect("from xAPIC mode");
        assert_eq!(apic.read(ID), Ok(0));
        assert_eq!(apic.set_base(BASE_ADDRESS | BASE_ENABLED), Err(Refusal::Fault(Fault::GP)));
        assert_eq!(apic.read(EOI), Err(Refusal::Fault(Fault::GP)));
    }

    #[test]
    fn the_highest_class_above_the_priority_is_delivered() {
        let mut apics = two();
        for vector in [0x41, 0x52, 0x43] {
            write(&mut apics, 0, SELF_IPI, vector).expect("a legal vector");
        }
        let apic = &mut apics[0];
        assert_eq!(apic.deliverable(), Some(0x52));
        apic.acknowledge(0x52);
        assert_eq!((apic.read(PPR), apic.deliverable()), (Ok(0x50), None));
        apic.end();
        assert_eq!(apic.deliverable(), Some(0x43));
        apic.set_cr8(4).expect("a class");
        assert_eq!(apic.deliverable(), None);
        assert_eq!(apic.set_cr8(16), Err(Refusal::Fault(Fault::GP)));
        assert_eq!(apic.read(IRR + 2), Ok(0b1010));
    }

    #[test]
    fn destinations_are_physical_logical_or_a_shorthand() {
        let sent = |value: u64| {
            let mut apics = two();
            write(&mut apics, 0, ICR, value).expect("a legal command");
            [apics[0].deliverable(), apics[1].deliverable()]
        };
        assert_eq!(sent(1 << 32 | 0x44), [None, Some(0x44)]);
        assert_eq!(sent(2 << 32 | 1 << 11 | 0x44), [None, Some(0x44)]);
        assert_eq!(sent(3 << 32 | 1 << 11 | 0x44), [Some(0x44); 2]);
        assert_eq!(sent(u64::from(BROADCAST) << 32 | 0x44), [Some(0x44); 2]);
        assert_eq!(sent(1 << 18 | 0x44), [Some(0x44), None]);
        assert_eq!(sent(2 << 18 | 0x44), [Some(0x44); 2]);
        assert_eq!(sent(3 << 18 | 0x44), [None, Some(0x44)]);
    }

    #[test]
    fn what_cannot_be_sent_is_an_error_or_a_gap() {
        let mut apics = two();
        write(&mut apics, 0, ICR, 1 << 18 | 0x0f).expect("no fault");
        write(&mut apics, 0, ESR, 0).expect("a legal value");
        assert_eq!(apics[0].read(ESR), Ok(SEND_ILLEGAL_VECTOR.into()));
        assert!(matches!(write(&mut apics, 0, ICR, 1 << 32 | 5 << 8), Err(Refusal::Unmodelled(_))));
        assert_eq!(write(&mut apics, 0, EOI, 1), Err(Refusal::Fault(Fault::GP)));
        write(&mut apics, 0, ICR, 1 << 32 | 4 << 8).expect("an NMI");
        assert!(apics[1].nmi && !apics[0].nmi);
    }

    #[test]
    fn disabled_by_software_none_is_accepted() {
        let mut apics = two();
        write(&mut apics, 1, SVR, 0xff).expect("a legal value");
        write(&mut apics, 0, ICR, 1 << 32 | 0x44).expect("a legal command");
        assert_eq!(apics[1].deliverable(), None);
    }
}
