// How the pages write and read numbers, times and files: the modules of static/lib that know no page.
import { test } from "node:test";
import * as format from "../../static/lib/format.js";
import { compileFilter } from "../../static/lib/table-filter.js";
import { toCsv } from "../../static/lib/table-export.js";
import { assertGives } from "./cases.js";

test("numbers have units and what is not known is a dash", () => {
  assertGives([
    [() => format.count(1234567), "1 234 567"],
    [() => format.count(1234), "1234"],
    [() => format.count(-12345), "−12 345"],
    [() => format.count(1.256, 2), "1.26"],
    [() => format.count(-0.4), "0"],
    [() => format.count(null), "–"],
    [() => format.count(NaN), "–"],
    [() => format.bytes(0), "0 B"],
    [() => format.bytes(1536), "1.5 KiB"],
    [() => format.bytes(16 * 1024 ** 3), "16 GiB"],
    [() => format.bytesPerSecond(1024), "1 KiB/s"],
    [() => format.bytesPerSecond(undefined), "–"],
    [() => format.nanos(0), "0 ns"],
    [() => format.nanos(1500), "1.5 µs"],
    [() => format.nanos(12345678), "12.3 ms"],
    [() => format.nanos(59.9e9), "59.9 s"],
    [() => format.nanos(3600e9), "1 h"],
    [() => format.millis(0), "0 ms"],
    [() => format.millis(1500), "1.5 s"],
    [() => format.percent(0.1234), "12.3 %"],
    [() => format.countryName("DE"), "Germany"],
    [() => format.countryName(null), "–"],
    [() => format.perSecond(1234.5), "1235/s"],
    [() => format.age(0), "0 s"],
    [() => format.age(59.9), "59 s"],
    [() => format.age(3600), "1 h"],
    [() => format.age(3725), "1 h 2 min"],
    [() => format.age(90061), "1 d 1 h"],
    [() => format.age(-5), "−5 s"],
    [() => format.hashShort('0x' + 'ab'.repeat(32)), "0xabab…abab"],
    [() => format.hashShort(null), "–"],
    [() => format.counted(1, 'node'), "1 node"],
    [() => format.counted(12345, 'node'), "12 345 nodes"],
    [() => format.timeLocal('nonsense'), "–"],
    [() => format.timeUtc('2026-11-21T01:02:03.004Z'), "2026-11-21 01:02:03.004 UTC"],
  ]);
});

test("amounts are read as people type them", () => {
  assertGives([
    [() => format.readAmount('1.5'), 1.5],
    [() => format.readAmount('-3'), -3],
    [() => format.readAmount('2k'), 2_000],
    [() => format.readAmount('16 GiB'), 17_179_869_184],
    [() => format.readAmount('10 KiB/s'), 10_240],
    [() => format.readAmount('2h', 1), 7_200],
    [() => format.readAmount('500ms', 1000), 500],
    [() => format.readAmount('5x'), null],
    [() => format.readAmount('many'), null],
  ]);
});

function passes(kind, text, value) {
  const filter = compileFilter({ filter: kind, value: (row) => row }, text);
  return filter === null ? "all" : filter(value);
}

test("filters pass what people ask for", () => {
  assertGives([
    [() => passes('number', '> 5', 6), true],
    [() => passes('number', '>5', 5), false],
    [() => passes('number', '<= 2k', 2000), true],
    [() => passes('number', '5..10', 10), true],
    [() => passes('number', '5..10', 11), false],
    [() => passes('number', '> 5', null), false],
    [() => passes('number', '-', null), true],
    [() => passes('number', '!-', null), false],
    [() => passes('number', 'many', 7), false],
    [() => passes('number', ' ', 7), "all"],
    [() => passes('text', 'AB', 'xaby'), true],
    [() => passes('text', '!ab', 'xaby'), false],
    [() => passes('text', '=ab', 'AB'), true],
    [() => passes('text', '=ab', 'abc'), false],
    [() => passes([['true', 'yes']], 'true', true), true],
    [() => passes([['true', 'yes']], 'true', null), false],
  ]);
});

function csv(value) {
  const text = toCsv([{ a: value }], [{ field: "a", exported: (row) => row.a }]);
  return text.replace(/^a\r\n/, "").replace(/\r\n$/, "");
}

test("CSV is understood by programs and runs nothing in spreadsheets", () => {
  assertGives([
    [() => csv('plain'), "plain"],
    [() => csv('a,b'), "\"a,b\""],
    [() => csv('a"b'), "\"a\"\"b\""],
    [() => csv('a\nb'), "\"a\nb\""],
    [() => csv(null), ""],
    [() => csv(true), "true"],
    [() => csv(-5.5), "-5.5"],
    [() => csv('+1.5e3'), "+1.5e3"],
    [() => csv('=1+1'), "'=1+1"],
    [() => csv('-1+cmd'), "'-1+cmd"],
    [() => csv('@sum'), "'@sum"],
    [() => csv('\tx'), "'\tx"],
    [() => csv('=a,b'), "\"'=a,b\""],
  ]);
});
