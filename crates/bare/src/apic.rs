//! A local APIC in x2APIC mode (SDM vol. 3 §10.4 to §10.8 and §10.12): its registers and what it
//! sends, by the rules of `interrupts`.
//!
//! Only other CPUs and the CPU itself send interrupts; all are edge-triggered. The local vector table is
//! kept and read back, since nothing arrives at its pins; the timer cannot be started.

use interrupts::icr::{self, Command, DeliveryMode, Destination, logical_id};
use interrupts::x2apic::{
    CURRENT_COUNT, DIVIDE, EOI, ESR, ICR, ID, INITIAL_COUNT, IRR, ISR, LDR, LVT_FIRST, LVT_LAST,
    PPR, SELF_IPI, SVR, TMR, TPR, VERSION, check_read, check_value,
};
use interrupts::{FIRST_LEGAL, InService, Vectors, deliverable, processor_priority};
use x86::num::{low8, low32};
use x86::{Fault, Refusal};

const BASE_ADDRESS: u64 = 0xfee0_0000;
const BASE_BSP: u64 = 1 << 8;
const BASE_X2APIC: u64 = 1 << 10;
const BASE_ENABLED: u64 = 1 << 11;

/// An integrated APIC; the last of 6 entries of the local vector table.
const VERSION_VALUE: u64 = 0x14 | 5 << 16;
const SOFTWARE_ENABLED: u32 = 1 << 8;
const LVT_MASKED: u32 = 1 << 16;
const SEND_ILLEGAL_VECTOR: u32 = 1 << 5;

/// One local APIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Apic {
    id: u32,
    base: u64,
    tpr: u8,
    svr: u32,
    esr: [u32; 2],
    lvt: [u32; 6],
    divide: u32,
    icr: u64,
    requested: Vectors,
    in_service: InService,
    /// An NMI waits. There is one latch: further ones are lost (SDM vol. 3 §6.7.1).
    pub(crate) nmi: bool,
}

impl Apic {
    /// After reset; CPU 0 is the bootstrap processor.
    pub(crate) fn new(number: u8) -> Apic {
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
            requested: Vectors::default(),
            in_service: InService::default(),
            nmi: false,
        }
    }

    /// IA32_APIC_BASE.
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// WRMSR to IA32_APIC_BASE (SDM vol. 3 §10.12.1 and figure 10-27).
    pub(crate) fn set_base(&mut self, value: u64) -> Result<(), Refusal> {
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
    pub(crate) fn cr8(&self) -> u64 {
        u64::from(self.tpr >> 4)
    }

    /// MOV to CR8.
    pub(crate) fn set_cr8(&mut self, value: u64) -> Result<(), Refusal> {
        if value > 15 {
            return Err(Refusal::Fault(Fault::GP));
        }
        self.tpr = low8(value << 4);
        Ok(())
    }

    /// The processor priority.
    fn ppr(&self) -> u8 {
        processor_priority(self.tpr, self.in_service)
    }

    /// The interrupt it would deliver.
    pub(crate) fn deliverable(&self) -> Option<u8> {
        deliverable(self.requested, self.ppr())
    }

    /// The CPU takes `vector`, which is [`Apic::deliverable`].
    pub(crate) fn acknowledge(&mut self, vector: u8) {
        self.requested.remove(vector);
        self.in_service.begin(vector);
    }

    /// A fixed interrupt arrives. While disabled by software it accepts none (SDM vol. 3 §10.4.7.2).
    fn request(&mut self, vector: u8) {
        if self.svr & SOFTWARE_ENABLED != 0 {
            self.requested.insert(vector);
        }
    }

    /// RDMSR of an x2APIC register (SDM vol. 3 table 10-6).
    pub(crate) fn read(&self, register: u32) -> Result<u64, Refusal> {
        if !self.is_x2apic() {
            return Err(Refusal::Fault(Fault::GP));
        }
        check_read(register)?;
        Ok(match register {
            ID => self.id.into(),
            VERSION => VERSION_VALUE,
            TPR => self.tpr.into(),
            PPR => self.ppr().into(),
            LDR => logical_id(self.id).into(),
            SVR => self.svr.into(),
            ISR..=0x817 => self.in_service.vectors().register(register - ISR),
            TMR..=0x81f => 0,
            IRR..=0x827 => self.requested.register(register - IRR),
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
        check_value(register, value)?;
        match register {
            TPR => self.tpr = low8(value),
            EOI => {
                self.in_service.end();
            }
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
            DIVIDE => self.divide = low32(value),
            // The last entry of the local vector table is its sixth.
            _ => return Err(Refusal::Fault(Fault::GP)),
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
pub(crate) fn write(
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
        SELF_IPI => {
            send_fixed(apics, number, icr::self_ipi(value)?, Destination::Sender);
            Ok(())
        }
        _ => own.write(register, value),
    }
}

/// WRMSR to the command register.
fn send(apics: &mut [Apic], number: u8, value: u64) -> Result<(), Refusal> {
    let command = icr::decode(value)?;
    if command.level_triggered {
        return unmodelled("an IPI with level triggering");
    }
    apics[usize::from(number)].icr = value;
    let Command { vector, mode, destination, .. } = command;
    match mode {
        DeliveryMode::Fixed => send_fixed(apics, number, vector, destination),
        DeliveryMode::Nmi if command.is_defined() => {
            meant(apics, number, destination).for_each(|apic| apic.nmi = true);
        }
        DeliveryMode::Nmi => return unmodelled("an NMI with a shorthand that includes the sender"),
        DeliveryMode::LowestPriority => return unmodelled("an interrupt of lowest priority"),
        DeliveryMode::Smi => return unmodelled("an SMI"),
        DeliveryMode::Init => return unmodelled("an INIT"),
        DeliveryMode::StartUp => {
            return unmodelled("a start-up IPI: every CPU runs from the start");
        }
        DeliveryMode::Reserved(mode) => {
            return unmodelled(&format!("an IPI of the reserved delivery mode {mode}"));
        }
    }
    Ok(())
}

fn unmodelled(what: &str) -> Result<(), Refusal> {
    Err(Refusal::Unmodelled(what.into()))
}

/// Vectors that no APIC accepts are errors of the sender (SDM vol. 3 §10.5.2).
fn send_fixed(apics: &mut [Apic], number: u8, vector: u8, destination: Destination) {
    if vector < FIRST_LEGAL {
        apics[usize::from(number)].esr[1] |= SEND_ILLEGAL_VECTOR;
        return;
    }
    meant(apics, number, destination).for_each(|apic| apic.request(vector));
}

/// The APICs that are meant by `destination`, sent by CPU `number`.
fn meant(
    apics: &mut [Apic],
    number: u8,
    destination: Destination,
) -> impl Iterator<Item = &mut Apic> {
    apics.iter_mut().filter(move |apic| destination.includes(number.into(), apic.id))
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
        apic.in_service.end();
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
        assert_eq!(sent(0xffff_ffff << 32 | 0x44), [Some(0x44); 2]);
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
