/*
 * dsdt.asl - the Generation 2 machine as the guest's ACPI sees it
 *
 * Four-letter names GVxx hold numbers that acpi.c writes into the compiled
 * table before the guest sees it; each must stay a 32-bit constant, so none
 * may be 0, 1 or Ones here.
 */
DefinitionBlock ("", "DSDT", 2, "MSFTVM", "DSDT01", 1)
{
	Name (GVLB, 0xA0000001)		/* low MMIO window: base, length in bytes */
	Name (GVLL, 0xA0000002)
	Name (GVHB, 0xA0000003)		/* high MMIO window: base, length in MiB */
	Name (GVHL, 0xA0000004)
	Name (GVC1, 0xA0000005)		/* COM1, COM2: _STA */
	Name (GVC2, 0xA0000006)
	Name (GVGL, 0xA0000007)		/* generation id: GPA low, high */
	Name (GVGH, 0xA0000008)
	Name (GVAL, 0xA0000009)		/* local APIC, IOAPIC */
	Name (GVAI, 0xA000000A)

	Name (_S5, Package () { 0, 0, 0, 0 })

	Scope (_SB)
	{
		Device (VMOD)
		{
			Name (_HID, "ACPI0004")
			Name (_UID, 0)
			Method (_CRS, 0, Serialized)
			{
				Name (BUF, ResourceTemplate ()
				{
					DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed,
						Cacheable, ReadWrite, 0, 0, 0, 0, 0,,, LOW)
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

			Device (VMBS)
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
				IRQ (Edge, ActiveHigh, Exclusive) { 4 }
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
				IRQ (Edge, ActiveHigh, Exclusive) { 3 }
			})
		}

		Device (RTC0)
		{
			Name (_HID, EisaId ("PNP0B00"))
			Name (_UID, 0)
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, 0x0070, 0x0070, 1, 2)
				IRQ (Edge, ActiveHigh, Exclusive) { 8 }
			})
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
