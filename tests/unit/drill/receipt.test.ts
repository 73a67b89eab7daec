import { describe, expect, test } from '@jest/globals';
import { promisedBy } from '../../../src/backup/manifest.ts';
import { historyChart } from '../../../src/drill/history.ts';
import { keepProven } from '../../../src/drill/proven.ts';
import { type DrillReceipt, readDrills, writeDrill } from '../../../src/drill/receipt.ts';
import { MemoryBucket } from '../aws/memory-bucket.ts';
import { keyOf, manifestOf, night, put, store } from '../backup/stored.ts';

const place = { app: 'isso', environment: 'staging' };

function drillAt(time: number, change: Partial<DrillReceipt> = {}): DrillReceipt {
  return {
    ...{ schema: 1, ...place, operation: '42-100-1-drill-staging', run: 'https://github.com/acme/isso' },
    ...{ drilled: new Date(time).toISOString(), verdict: 'verified', where: 'runner' },
    ...{ level: { asked: 5, reached: 5 }, backup: keyOf(manifestOf()), restorable: keyOf(manifestOf()) },
    levels: [{ level: 0, verdict: 'passed', ms: 12, evidence: 'committed 2 h ago' }],
    control: 'refused',
    rpo: { ms: 7_200_000, phases: [{ name: 'backing up', ms: 2000 }] },
    rto: { ms: 12_000, phases: [{ name: 'level 2', ms: 9000 }] },
    size: { raw: 104_448, packed: 40 },
    ...change,
  };
}

describe('the receipt of a drill', () => {
  test('is named by its time, and read back', async () => {
    const bucket = new MemoryBucket();
    expect(await writeDrill(bucket, drillAt(night()))).toBe('drills/isso/staging/20261123T020000Z.json');
    expect(await readDrills(bucket, place)).toEqual([drillAt(night())]);
  });

  test('never takes the place of another of the same second', async () => {
    const bucket = new MemoryBucket();
    await writeDrill(bucket, drillAt(night()));
    const second = drillAt(night(), { operation: '42-101-1-drill-staging' });
    expect(await writeDrill(bucket, second)).toBe('drills/isso/staging/20261123T020001Z.json');
    expect(await readDrills(bucket, place)).toHaveLength(2);
  });

  test('is there once when the answer was lost', async () => {
    const bucket = new MemoryBucket();
    bucket.answersToLose = 1;
    await writeDrill(bucket, drillAt(night()));
    expect(bucket.objects.size).toBe(1);
  });

  test('counts among the last thirty, of which one that cannot be read is left out', async () => {
    const bucket = new MemoryBucket();
    for (let day = 0; day < 40; day += 1) await writeDrill(bucket, drillAt(night(day)));
    put(bucket, 'drills/isso/staging/20270102T020000Z.json', '{"schema": 2}');
    put(bucket, 'drills/isso/staging2/20270102T020000Z.json', '{}');
    const drills = await readDrills(bucket, place);
    expect(drills.map(({ drilled }) => drilled)).toEqual(
      Array.from({ length: 29 }, (_, index) => new Date(night(11 + index)).toISOString()),
    );
  });

  test('is a line in each chart of the history, with its verdict', () => {
    const chart = historyChart([
      drillAt(night()),
      drillAt(night(1), { verdict: 'backup-bad', level: { asked: 5, reached: 1 }, rpo: null, size: null }),
    ]);
    expect(chart).toMatch(/^✓ 2026-11-23 02:00 █{40} +2 h {2}level 5 of 5$/m);
    expect(chart).toMatch(/^✗ 2026-11-24 02:00 .* none {2}level 1 of 5$/m);
    expect(chart).toContain('102.0 KiB');
  });
});

describe('a proven backup', () => {
  const target = 'proven/isso/staging/20261123T020000Z-42-100-1-backup-staging/';

  test('is copied whole, its manifest last, and once', async () => {
    const bucket = new MemoryBucket();
    const key = store(bucket);
    expect(await keepProven(bucket, key, manifestOf())).toBe(`${target}manifest.json`);
    const copied = [...bucket.objects.keys()].filter((name) => name.startsWith('proven/'));
    const wanted = [...promisedBy(manifestOf()).map(({ object }) => object), 'manifest.json'];
    expect(copied).toEqual(wanted.map((name) => target + name));
    expect(await keepProven(bucket, key, manifestOf())).toBe(`${target}manifest.json`);
    expect(bucket.objects.size).toBe(2 * copied.length);
  });

  test('has no manifest when a copy is not what it promises', async () => {
    const bucket = new MemoryBucket();
    const key = store(bucket);
    put(bucket, key.replace('manifest.json', 'code.tar.zst'), 'the release, pacced');
    await expect(keepProven(bucket, key, manifestOf())).rejects.toThrow(`${target}code.tar.zst has `);
    expect(bucket.objects.has(`${target}manifest.json`)).toBe(false);
  });
});
