/*
 * dsdt1.asl - the Generation 1 machine as the guest's ACPI sees it
 *
 * A PC with one PCI bus behind a 440BX, an ISA bus behind a PIIX4, and VMBus
 * beside them. Four-letter names GVxx as in dsdt.asl.
 *
 * SeaBIOS reads this too, to learn which ISA devices there are: a device it
 * shall find has a _HID by EisaId.
 */
DefinitionBlock ("", "DSDT", 2, "MSFTVM", "DSDT02", 1)
{
	Name (GVLB, 0xA0000001)		/* PCI's low window: base, length in bytes */
	Name (GVLL, 0xA0000002)
	Name (GVHB, 0xA0000003)		/* high window: base, length in MiB */
	Name (GVHL, 0xA0000004)
	Name (GVC1, 0xA0000005)		/* COM1, COM2: _STA */
	Name (GVC2, 0xA0000006)
	Name (GVGL, 0xA0000007)		/* generation id: GPA low, high */
	Name (GVGH, 0xA0000008)
	Name (GVAL, 0xA0000009)		/* local APIC, IOAPIC */
	Name (GVAI, 0xA000000A)
	Name (GVFD, 0xA000000B)		/* floppy controller: _STA */

	Name (_S5, Package () { 0, 0, 0, 0 })

	Scope (_SB)
	{
		Device (PCI0)
		{
			Name (_HID, EisaId ("PNP0A03"))
			Name (_UID, 0)
			Name (_BBN, 0)
			Method (_CRS, 0, Serialized)
			{
				Name (BUF, ResourceTemplate ()
				{
					WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
						0, 0, 0xFF, 0, 0x100)
					IO (Decode16, 0x0CF8, 0x0CF8, 1, 8)
					WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
						0, 0, 0x0CF7, 0, 0x0CF8)
					WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
						0, 0x0D00, 0xFFFF, 0, 0xF300)
					DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed,
						Cacheable, ReadWrite, 0, 0xA0000, 0xBFFFF, 0, 0x20000)
					DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed,
						NonCacheable, ReadWrite, 0, 0, 0, 0, 0,,, LOW)
					QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed,
						Cacheable, ReadWrite, 0, 0, 0, 0, 0,,, HIGH)
				})
				CreateDWordField (BUF, LOW._MIN, LMIN)
				CreateDWordField (BUF, LOW._MAX, LMAX)
				CreateDWordField (BUF, LOW._LEN, LLEN)
				CreateQWordField (BUF, HIGH._MIN, HMIN)
				CreateQWordField (BUF, HIGH._MAX, HMAX)
				CreateQWordField (BUF, HIGH._LEN, HLEN)
				LMIN = GVLB
				LLEN = GVLL
				LMAX = GVLB + GVLL - 1
				HMIN = GVHB << 20
				HLEN = GVHL << 20
				HMAX = HMIN + HLEN - 1
				Return (BUF)
			}

			/* Pin P of slot S is line (S + P - 1) of four, as the board's wires go. */
			Method (_PRT, 0, Serialized)
			{
				Name (PRT, Package (128) { })
				Local0 = 0
				While (Local0 < 128)
				{
					Local1 = Local0 >> 2
					Local2 = (Local1 + (Local0 & 3) + 3) & 3
					If (Local2 == 0) { Local3 = Package (4) { 0, 0, LNKA, 0 } }
					If (Local2 == 1) { Local3 = Package (4) { 0, 0, LNKB, 0 } }
					If (Local2 == 2) { Local3 = Package (4) { 0, 0, LNKC, 0 } }
					If (Local2 == 3) { Local3 = Package (4) { 0, 0, LNKD, 0 } }
					Local3 [0] = (Local1 << 16) | 0xFFFF
					Local3 [1] = Local0 & 3
					PRT [Local0] = Local3
					Local0++
				}
				Return (PRT)
			}

			Device (VMB8)
			{
				Name (STA, 0xF)
				Name (_DDN, "VMBUS")
				Name (_HID, "MSFT1000")
				Name (_CID, "VMBus")
				Name (_UID, 0)
				Method (_DIS, 0) { STA &= 0xD }
				Method (_PS0, 0) { STA |= 0xF }
				Method (_STA, 0) { Return (STA) }
				Method (_PS3, 0) { }
				Name (_CRS, ResourceTemplate ()
				{
					IRQ (Edge, ActiveHigh, Exclusive) { 5 }
				})
			}

			Device (ISA)
			{
				Name (_ADR, 0x00070000)
				OperationRegion (PIRQ, PCI_Config, 0x60, 4)
				Field (PIRQ, ByteAcc, NoLock, Preserve)
				{
					PRQA, 8,
					PRQB, 8,
					PRQC, 8,
					PRQD, 8
				}

				Device (PIC)
				{
					Name (_HID, EisaId ("PNP0000"))
					Name (_CRS, ResourceTemplate ()
					{
						IO (Decode16, 0x20, 0x20, 1, 2)
						IO (Decode16, 0xA0, 0xA0, 1, 2)
						IO (Decode16, 0x4D0, 0x4D0, 1, 2)
						IRQNoFlags () { 2 }
					})
				}

				Device (TIMR)
				{
					Name (_HID, EisaId ("PNP0100"))
					Name (_CRS, ResourceTemplate ()
					{
						IO (Decode16, 0x40, 0x40, 1, 4)
						IRQNoFlags () { 0 }
					})
				}

				Device (DMAC)
				{
					Name (_HID, EisaId ("PNP0200"))
					Name (_CRS, ResourceTemplate ()
					{
						IO (Decode16, 0x00, 0x00, 1, 0x10)
						IO (Decode16, 0x81, 0x81, 1, 0x0F)
						IO (Decode16, 0xC0, 0xC0, 1, 0x20)
						DMA (Compatibility, NotBusMaster, Transfer8) { 4 }
					})
				}

				Device (RTC0)
				{
					Name (_HID, EisaId ("PNP0B00"))
					Name (_CRS, ResourceTemplate ()
					{
						IO (Decode16, 0x70, 0x70, 1, 8)
						IRQNoFlags () { 8 }
					})
				}

				Device (SPKR)
				{
					Name (_HID, EisaId ("PNP0800"))
					Name (_CRS, ResourceTemplate ()
					{
						IO (Decode16, 0x61, 0x61, 1, 1)
					})
				}

				Device (KBD)
				{
					Name (_HID, EisaId ("PNP0303"))
					Name (_CRS, ResourceTemplate ()
					{
						IO (Decode16, 0x60, 0x60, 1, 1)
						IO (Decode16, 0x64, 0x64, 1, 1)
						IRQNoFlags () { 1 }
					})
				}

				Device (MOU)
				{
					Name (_HID, EisaId ("PNP0F03"))
					Name (_CID, EisaId ("PNP0F13"))
					Name (_CRS, ResourceTemplate ()
					{
						IRQNoFlags () { 12 }
					})
				}

				Device (FDC0)
				{
					Name (_HID, EisaId ("PNP0700"))
					Method (_STA, 0) { Return (GVFD) }
					Name (_CRS, ResourceTemplate ()
					{
						IO (Decode16, 0x03F2, 0x03F2, 1, 4)
						IO (Decode16, 0x03F7, 0x03F7, 1, 1)
						IRQNoFlags () { 6 }
						DMA (Compatibility, NotBusMaster, Transfer8) { 2 }
					})
				}

				Device (UAR1)
				{
					Name (_HID, EisaId ("PNP0501"))
					Name (_UID, 1)
					Name (_DDN, "COM1")
					Method (_STA, 0) { Return (GVC1) }
					Name (_CRS, ResourceTemplate ()
					{
						IO (Decode16, 0x03F8, 0x03F8, 1, 8)
						IRQNoFlags () { 4 }
					})
				}

				Device (UAR2)
				{
					Name (_HID, EisaId ("PNP0501"))
					Name (_UID, 2)
					Name (_DDN, "COM2")
					Method (_STA, 0) { Return (GVC2) }
					Name (_CRS, ResourceTemplate ()
					{
						IO (Decode16, 0x02F8, 0x02F8, 1, 8)
						IRQNoFlags () { 3 }
					})
				}
			}
		}

		/* The four PCI interrupt lines, as the PIIX4 routes them. */
		Scope (\_SB.PCI0.ISA)
		{
			Method (LSTA, 1) { If (Arg0 & 0x80) { Return (0x09) } Return (0x0B) }
			Method (LCRS, 1, Serialized)
			{
				Name (BUF, ResourceTemplate ()
				{
					Interrupt (ResourceConsumer, Level, ActiveHigh, Shared,,, IRQR) { 0 }
				})
				CreateDWordField (BUF, IRQR._INT, INT)
				INT = 0
				If (!(Arg0 & 0x80)) { INT = Arg0 & 0x0F }
				Return (BUF)
			}
		}

		Device (LNKA)
		{
			Name (_HID, EisaId ("PNP0C0F"))
			Name (_UID, 1)
			Name (_PRS, ResourceTemplate ()
			{
				Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 5, 10, 11 }
			})
			Method (_STA, 0) { Return (\_SB.PCI0.ISA.LSTA (\_SB.PCI0.ISA.PRQA)) }
			Method (_DIS, 0) { \_SB.PCI0.ISA.PRQA |= 0x80 }
			Method (_CRS, 0) { Return (\_SB.PCI0.ISA.LCRS (\_SB.PCI0.ISA.PRQA)) }
			Method (_SRS, 1)
			{
				CreateDWordField (Arg0, 5, INT)
				\_SB.PCI0.ISA.PRQA = INT
			}
		}

		Device (LNKB)
		{
			Name (_HID, EisaId ("PNP0C0F"))
			Name (_UID, 2)
			Name (_PRS, ResourceTemplate ()
			{
				Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 5, 10, 11 }
			})
			Method (_STA, 0) { Return (\_SB.PCI0.ISA.LSTA (\_SB.PCI0.ISA.PRQB)) }
			Method (_DIS, 0) { \_SB.PCI0.ISA.PRQB |= 0x80 }
			Method (_CRS, 0) { Return (\_SB.PCI0.ISA.LCRS (\_SB.PCI0.ISA.PRQB)) }
			Method (_SRS, 1)
			{
				CreateDWordField (Arg0, 5, INT)
				\_SB.PCI0.ISA.PRQB = INT
			}
		}

		Device (LNKC)
		{
			Name (_HID, EisaId ("PNP0C0F"))
			Name (_UID, 3)
			Name (_PRS, ResourceTemplate ()
			{
				Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 5, 10, 11 }
			})
			Method (_STA, 0) { Return (\_SB.PCI0.ISA.LSTA (\_SB.PCI0.ISA.PRQC)) }
			Method (_DIS, 0) { \_SB.PCI0.ISA.PRQC |= 0x80 }
			Method (_CRS, 0) { Return (\_SB.PCI0.ISA.LCRS (\_SB.PCI0.ISA.PRQC)) }
			Method (_SRS, 1)
			{
				CreateDWordField (Arg0, 5, INT)
				\_SB.PCI0.ISA.PRQC = INT
			}
		}

		Device (LNKD)
		{
			Name (_HID, EisaId ("PNP0C0F"))
			Name (_UID, 4)
			Name (_PRS, ResourceTemplate ()
			{
				Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 5, 10, 11 }
			})
			Method (_STA, 0) { Return (\_SB.PCI0.ISA.LSTA (\_SB.PCI0.ISA.PRQD)) }
			Method (_DIS, 0) { \_SB.PCI0.ISA.PRQD |= 0x80 }
			Method (_CRS, 0) { Return (\_SB.PCI0.ISA.LCRS (\_SB.PCI0.ISA.PRQD)) }
			Method (_SRS, 1)
			{
				CreateDWordField (Arg0, 5, INT)
				\_SB.PCI0.ISA.PRQD = INT
			}
		}

		Device (APIC)
		{
			Name (_HID, EisaId ("PNP0003"))
			Method (_CRS, 0, Serialized)
			{
				Name (BUF, ResourceTemplate ()
				{
					Memory32Fixed (ReadWrite, 0, 0x1000, LAPC)
					Memory32Fixed (ReadWrite, 0, 0x1000, IOAP)
				})
				CreateDWordField (BUF, LAPC._BAS, LBAS)
				CreateDWordField (BUF, IOAP._BAS, IBAS)
				LBAS = GVAL
				IBAS = GVAI
				Return (BUF)
			}
		}

		Device (GENC)
		{
			Name (_HID, "MSFT1002")
			Name (_CID, Package () { "VM_Gen_Counter", "VMGENCTR", "Hyper_V_Gen_Counter_V1" })
			Name (_UID, 0)
			Name (_DDN, "VM_Gen_Counter")
			Method (ADDR, 0, Serialized)
			{
				Name (PAIR, Package (2) { 0, 0 })
				PAIR [0] = GVGL
				PAIR [1] = GVGH
				Return (PAIR)
			}
		}
	}

	Scope (\_GPE)
	{
		Method (_E00, 0) { Notify (\_SB.GENC, 0x80) }
	}
}
