#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""A second implementation of docs/measure.md, written from the vendors' documents.

usage: reference.py snp IMAGE VMM VCPUS SIGNATURE FEATURES [KERNEL INITRD COMMAND_LINE]
       reference.py tdx IMAGE page|section
       reference.py boot KERNEL INITRD COMMAND_LINE      (prints RTMR1 and RTMR2)
       reference.py sgx SIZE SSA_PAGES OFFSET:FLAGS:BYTE:measured|unmeasured ...
"""
import hashlib
import struct
import sys
import uuid

PAGE = 4096


def sha384(data):
    return hashlib.sha384(data).digest()


def read(path):
    with open(path, "rb") as file:
        return file.read()


def table(image):
    """GUID -> data, from the table that ends 32 bytes before the image does."""
    entries, end = {}, len(image) - 32
    size, guid = struct.unpack("<H16s", image[end - 18:end])
    assert uuid.UUID(bytes_le=guid) == uuid.UUID("96b582de-1fb2-45f7-baea-a366c55a082d")
    start, end = end - size, end - 18
    while end > start:
        size, guid = struct.unpack("<H16s", image[end - 18:end])
        entries[str(uuid.UUID(bytes_le=guid))] = image[end - size:end - 18]
        end -= size
    return entries


def u32(data, at=0):
    return struct.unpack_from("<I", data, at)[0]


def vmsa(start, vmm, signature, features):
    """The save area, field by field: AMD64 APM volume 2, table B-4."""
    area = bytearray(PAGE)
    put = struct.pack_into
    ec2, gce = vmm == "ec2", vmm == "gce"
    code = 0x9A if ec2 and start == 0xFFFFFFF0 else 0x9B
    selectors = {"es": (0, 0x93, 0), "cs": (0xF000, code, start & 0xFFFF0000),
                 "ss": (0, 0x92 if ec2 else 0x93, 0), "ds": (0, 0x93, 0), "fs": (0, 0x93, 0),
                 "gs": (0, 0x93, 0), "gdtr": (0, 0, 0), "ldtr": (0, 0x82, 0), "idtr": (0, 0, 0),
                 "tr": (0, 0x83 if ec2 else 0x8B, 0)}
    for i, (selector, attributes, base) in enumerate(selectors.values()):
        put("<HHIQ", area, 16 * i, selector, attributes, 0xFFFF, base)
    fields = {0xD0: 0x1000, 0x148: 0x40, 0x158: 0x10, 0x160: 0x400, 0x168: 0xFFFF0FF0, 0x170: 2,
              0x178: start & 0xFFFF, 0x268: 0x70106 if gce else 0x7040600070406,
              0x310: signature if vmm == "qemu" else 0x600, 0x3B0: features, 0x3E8: 1}
    for offset, value in fields.items():
        put("<Q", area, offset, value)
    if vmm == "qemu":
        put("<I", area, 0x408, 0x1F80)
        put("<H", area, 0x410, 0x37F)
    return bytes(area)


def hashes_page(offset, kernel, initrd, command_line):
    def entry(guid, digest):
        return uuid.UUID(guid).bytes_le + struct.pack("<H", 50) + digest

    def sha256(data):
        return hashlib.sha256(data).digest()

    body = (entry("97d02dd8-bd20-4c94-aa78-e7714d36ab2a", sha256(command_line + b"\0"))
            + entry("44baf731-3a2f-4bd7-9af1-41e29169781d", sha256(initrd))
            + entry("4de79437-abd2-427f-b835-d5b172d2045b", sha256(kernel)))
    page = bytes(offset) + uuid.UUID("9438d606-4f22-4cc9-b479-a793d411fd21").bytes_le
    page += struct.pack("<H", 18 + len(body)) + body
    return page + bytes(PAGE - len(page))


def snp(image, vmm, vcpus, signature, features, boot=None):
    digest = bytes(48)

    def add(kind, address, content=bytes(48)):
        nonlocal digest
        digest = sha384(digest + content + struct.pack("<HBBIQ", 0x70, kind, 0, 0, address))

    base = (1 << 32) - len(image)
    for at in range(0, len(image), PAGE):
        add(1, base + at, sha384(image[at:at + PAGE]))
    entries = table(image)
    at = len(image) - u32(entries["dc886566-984a-4798-a75e-5585a7bf67cc"])
    assert image[at:at + 4] == b"ASEV"
    hashes = u32(entries.get("7255371f-3a3b-4b04-927b-1da6efa8d454", bytes(4)))
    late = []
    for i in range(u32(image, at + 12)):
        address, size, kind = struct.unpack_from("<III", image, at + 16 + 12 * i)
        if kind == 2:
            add(5, address)
        elif kind == 3:
            (late.append(address) if vmm == "ec2" else add(6, address))
        elif kind == 0x10 and boot:
            add(1, address, sha384(hashes_page(hashes % PAGE, *boot)))
        else:
            for offset in range(0, size, PAGE):
                add(4 if vmm == "gce" and kind == 1 else 3, address + offset)
    for address in late:
        add(6, address)
    reset = u32(entries["00f771de-1a7e-4fcb-890e-68c77e2fb44e"])
    for i in range(vcpus):
        page = vmsa(0xFFFFFFF0 if i == 0 else reset, vmm, signature, features)
        add(2, 0xFFFFFFFFF000, sha384(page))
    return digest


def tdx(image, order):
    at = len(image) - u32(table(image)["e47a6535-984a-4798-865e-4685a7bf8ec2"])
    assert image[at:at + 4] == b"TDVF"
    out = hashlib.sha384()

    def call(name, address):
        out.update(name.ljust(16, b"\0") + struct.pack("<Q", address) + bytes(104))

    for i in range(u32(image, at + 12)):
        data, _, address, size, _, attributes = struct.unpack_from("<IIQQII", image, at + 16 + 32 * i)
        if attributes & 2:
            continue
        steps = [("add", page) for page in range(0, size, PAGE)]
        extends = [("extend", page) for page in range(0, size, PAGE)] if attributes & 1 else []
        steps += extends
        if order == "page":
            steps.sort(key=lambda step: step[1])
        for what, page in steps:
            if what == "add":
                call(b"MEM.PAGE.ADD", address + page)
                continue
            for chunk in range(page, page + PAGE, 256):
                call(b"MR.EXTEND", address + chunk)
                out.update(image[data + chunk:data + chunk + 256])
    return out.digest()


def authenticode(program):
    header = u32(program, 0x3C)
    sections, optional = struct.unpack_from("<H12xH", program, header + 6)
    start = header + 24
    wide = struct.unpack_from("<H", program, start)[0] == 0x20B
    directory = start + (112 if wide else 96) + 32
    headers = u32(program, start + 60)
    data = program[:start + 64] + program[start + 68:directory] + program[directory + 8:headers]
    rows = [struct.unpack_from("<II", program, start + optional + 40 * i + 16) for i in range(sections)]
    for size, offset in sorted(rows, key=lambda row: row[1]):
        data += program[offset:offset + size]
    rest = headers + sum(size for size, _ in rows)
    return sha384(data + program[rest:len(program) - u32(program, directory + 4)])


def boot(kernel, initrd, command_line):
    def replay(digests):
        value = bytes(48)
        for digest in digests:
            value = sha384(value + digest)
        return value

    actions = [b"Calling EFI Application from Boot Option", bytes(4), b"Exit Boot Services Invocation",
               b"Exit Boot Services Returned with Success"]
    text = command_line + (" initrd=initrd" if initrd else "")
    # Without a text LoadOptionsSize is 0, and Linux' stub measures options only if it is not.
    second = [sha384((text + "\0").encode("utf-16-le"))] if text else []
    second += [sha384(initrd)] if initrd else []
    return replay([authenticode(kernel)] + [sha384(a) for a in actions]), replay(second)


def sgx(size, ssa_pages, pages):
    out = hashlib.sha256(struct.pack("<8sIQ44x", b"ECREATE", ssa_pages, size))
    for offset, flags, byte, measured in pages:
        out.update(struct.pack("<8sQQ40x", b"EADD", offset, flags))
        for chunk in range(offset, offset + PAGE, 256) if measured else []:
            out.update(struct.pack("<8sQ48x", b"EEXTEND", chunk) + bytes([byte]) * 256)
    return out.digest()


def main(what, *arguments):
    if what == "snp":
        image, vmm, vcpus, signature, features, *files = arguments
        files = [read(files[0]), read(files[1]), files[2].encode()] if files else None
        results = [snp(read(image), vmm, int(vcpus), int(signature, 0), int(features, 0), files)]
    elif what == "tdx":
        results = [tdx(read(arguments[0]), arguments[1])]
    elif what == "boot":
        results = boot(read(arguments[0]), read(arguments[1]), arguments[2])
    else:
        pages = [p.split(":") for p in arguments[2:]]
        pages = [(int(o, 0), int(f, 0), int(b, 0), m == "measured") for o, f, b, m in pages]
        results = [sgx(int(arguments[0], 0), int(arguments[1], 0), pages)]
    print("\n".join(result.hex() for result in results))


main(*sys.argv[1:])
