//! CR3 and its fields.

/// CR3 bit 61: address bits 62:57 of user data pointers are ignored.
const LAM_U57: u64 = 1 << 61;
/// CR3 bit 62: address bits 62:48 of user data pointers are ignored.
const LAM_U48: u64 = 1 << 62;
/// CR3 bit 63, write only: keep the TLB entries of this PCID. Legal only with CR4.PCIDE = 1.
const NO_FLUSH: u64 = 1 << 63;
/// CR3 bits 11:0 with CR4.PCIDE = 1.
const PCID: u64 = 0xfff;
/// CR3 bits 51:12, the frame of the top-level table.
const ROOT: u64 = 0x000f_ffff_ffff_f000;

/// The physical address of a top-level page table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root(u64);

impl Root {
    /// Creates the root of the table in the frame at `pa`.
    ///
    /// # Panics
    ///
    /// Panics if `pa` is not the address of a frame: a multiple of 4096 below 2^52.
    #[must_use]
    pub const fn new(pa: u64) -> Self {
        assert!(pa & !ROOT == 0, "a root is a 4 KiB frame below 2^52");
        Self(pa)
    }

    /// Creates a root from a value that came out of a `Root`.
    pub(crate) const fn new_unchecked(pa: u64) -> Self {
        Self(pa)
    }

    /// Returns the physical address.
    #[must_use]
    pub const fn pa(self) -> u64 {
        self.0
    }
}

/// A process-context identifier.
///
/// [`KERNEL`](Self::KERNEL) for the kernel's own tables and whenever PCIDs are off; slot number
/// plus one for a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pcid(u16);

impl Pcid {
    /// PCID 0, that of the kernel's own tables.
    pub const KERNEL: Self = Self(0);

    pub(crate) const fn of_slot(slot: usize) -> Self {
        Self(slot as u16 + 1)
    }

    /// Returns the slot, or a number past every slot for [`KERNEL`](Self::KERNEL).
    pub(crate) const fn slot(self) -> usize {
        (self.0 as usize).wrapping_sub(1)
    }

    /// Returns the number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// A width of Linear Address Masking for user pointers. Off is the absence of a `Lam`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lam {
    /// `LAM_U48`: bits 62:48 carry a tag.
    U48,
    /// `LAM_U57`: bits 62:57 carry a tag.
    U57,
}

impl Lam {
    /// Returns the CR3 bit.
    pub(crate) const fn bit(self) -> u64 {
        match self {
            Self::U48 => LAM_U48,
            Self::U57 => LAM_U57,
        }
    }
}

/// The LAM bits of a CR3 value: none or one of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LamBits(u64);

impl LamBits {
    pub(crate) const OFF: Self = Self(0);

    /// Keeps the LAM bits of `word`.
    pub(crate) const fn of(word: u64) -> Self {
        Self(word & (LAM_U57 | LAM_U48))
    }

    pub(crate) const fn mode(self) -> Option<Lam> {
        match self.0 {
            0 => None,
            LAM_U48 => Some(Lam::U48),
            // With both bits set the processor ignores LAM_U48.
            _ => Some(Lam::U57),
        }
    }
}

/// A value of CR3. The only type through which this crate touches the register, so that no write
/// can lose the PCID or the LAM bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cr3(u64);

impl Cr3 {
    /// Composes a value that flushes the TLB entries of `pcid`, unless [`keep_tlb`](Self::keep_tlb).
    pub(crate) const fn new(root: Root, pcid: Pcid, lam: LamBits) -> Self {
        Self(root.0 | pcid.0 as u64 | lam.0)
    }

    /// Sets bit 63: loading the value keeps the TLB entries of its PCID.
    pub(crate) const fn keep_tlb(self) -> Self {
        Self(self.0 | NO_FLUSH)
    }

    /// Returns the value as the register reads after it is loaded: bit 63 is never read back.
    pub(crate) const fn as_read(self) -> Self {
        Self(self.0 & !NO_FLUSH)
    }

    /// Wraps a value read from the register.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Returns the operand for MOV to CR3.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Returns the top-level table.
    #[must_use]
    pub const fn root(self) -> Root {
        Root(self.0 & ROOT)
    }

    /// Returns the PCID.
    #[must_use]
    pub const fn pcid(self) -> Pcid {
        Pcid((self.0 & PCID) as u16)
    }

    /// Returns the LAM mode for user pointers; `None` is off.
    #[must_use]
    pub const fn lam(self) -> Option<Lam> {
        LamBits::of(self.0).mode()
    }

    /// Returns whether loading this keeps the TLB entries of its PCID.
    #[must_use]
    pub const fn keeps_tlb(self) -> bool {
        self.0 & NO_FLUSH != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composes_all_parts_and_takes_them_apart() {
        let cr3 = Cr3::new(
            Root::new(0x0000_1234_5678_9000),
            Pcid::of_slot(5),
            LamBits::of(Lam::U57.bit()),
        );
        assert_eq!(cr3.bits(), 0x2000_1234_5678_9006);
        assert_eq!(cr3.keep_tlb().bits(), 0xa000_1234_5678_9006);
        assert_eq!(cr3.keep_tlb().as_read(), cr3);
        assert_eq!(cr3.keep_tlb().root().pa(), 0x0000_1234_5678_9000);
        assert_eq!(cr3.pcid().number(), 6);
        assert_eq!(cr3.lam(), Some(Lam::U57));
        assert!(!cr3.keeps_tlb() && cr3.keep_tlb().keeps_tlb());
    }

    #[test]
    fn lam_bits_are_61_and_62_and_u57_wins() {
        assert_eq!(Lam::U57.bit(), 1 << 61);
        assert_eq!(Lam::U48.bit(), 1 << 62);
        assert_eq!(LamBits::of(u64::MAX).mode(), Some(Lam::U57));
        assert_eq!(LamBits::of(Lam::U48.bit() | 1).mode(), Some(Lam::U48));
        assert_eq!(LamBits::OFF.mode(), None);
    }

    #[test]
    fn slot_of_the_kernel_pcid_is_none_of_the_slots() {
        assert_eq!(Pcid::of_slot(0).number(), 1);
        assert_eq!(Pcid::of_slot(3).slot(), 3);
        assert_eq!(Pcid::KERNEL.slot(), usize::MAX);
    }
}
