import { onHost } from '../../rehearsal/cloud/cloud.ts';
import { type Figure, megabytes, ours, shown } from '../figure.ts';
import type { Grounds } from '../grounds.ts';
import { underLoad } from '../load.ts';
import type { Row } from '../row.ts';

/** What a second release beside the first one takes of memory, and what happens where there is none for it. */
export const memory: Row = {
  name: 'memory',
  title: 'Memory',
  async play({ grounds, say }) {
    const held = await grounds();
    await held.take({ switch: 'overlap', loadSeconds: 0 });
    say('watching the memory of all releases during a deploy by overlap');
    const figures = [await overlapFigure(held)];
    say('a deploy by overlap to a host without memory for two');
    return [...figures, await shortageFigure(held)];
  },
};

/** Sums the memory of all servers of the app by release, until it is told to stop; shared pages are shared out (PSS). */
const watcher = `
import collections, json, os, re, time
most = collections.Counter()
while not os.path.exists('/run/bench-enough'):
    releases = collections.Counter()
    for process in filter(str.isdigit, os.listdir('/proc')):
        try:
            folder = os.readlink(f'/proc/{process}/cwd')
            if not folder.startswith('/srv/bench/releases/') or b'gunicorn' not in open(f'/proc/{process}/cmdline', 'rb').read():
                continue
            found = re.search(r'^Pss:\\s+(\\d+) kB', open(f'/proc/{process}/smaps_rollup').read(), re.M)
            releases[folder] += int(found[1]) * 1024
        except OSError:
            continue
    most[len(releases)] = max(most[len(releases)], sum(releases.values()))
    time.sleep(0.1)
os.remove('/run/bench-enough')
print(json.dumps(most))
`;

async function overlapFigure(grounds: Grounds): Promise<Figure> {
  const release = await grounds.pack();
  const watching = onHost(grounds.cloud, grounds.instanceId, ['python3', '-c', watcher]);
  try {
    await grounds.deploy(release);
  } finally {
    await grounds.shell('touch /run/bench-enough');
  }
  const { stdout, stderr } = await watching;
  if (stdout === '') throw new Error(stderr);
  const most = JSON.parse(stdout) as Record<string, number>;
  const [one, two] = [most['1'] ?? 0, most['2'] ?? 0];
  return shown(`${megabytes(two)}, of ${megabytes(one)} for one`, {
    name: 'memory while two releases are up',
    note: 'the most that all servers of the app took together (PSS, looked at every 0.1 s) while one release was up, and while two were, in the rehearsal or in the switch; a small app in two workers',
    bars: [ours('one release', one, megabytes(one)), ours('two releases', two, megabytes(two))],
  });
}

/** The host is told that it has 1 MiB left: what follows is what the host script makes of that. */
async function shortageFigure(grounds: Grounds): Promise<Figure> {
  const name = 'the fall-back to a held restart where there is no memory for two';
  const release = await grounds.pack();
  await grounds.shell(`sed 's/^MemAvailable:.*/MemAvailable: 1024 kB/' /proc/meminfo >/run/meminfo
    mount --bind /run/meminfo /proc/meminfo`);
  let sentence = '';
  try {
    const met = await underLoad(grounds.cloud, `http://${grounds.ip}:8080`, async () => {
      sentence = (await grounds.deploy(release)).instances[0]?.sentence ?? '';
    });
    const says = /memory|MiB/.test(sentence);
    const wait = `${(met.longestMs / 1000).toFixed(1)} s`;
    return {
      ...{ name, measured: `${met.lost} lost, longest wait ${wait}`, must: 'happens, and says so' },
      ...{ holds: says && met.lost === 0, bars: [] },
      note: `of ${met.requests.toLocaleString('en')} requests; the host said: “${sentence}”`,
    };
  } catch (error) {
    const note = `the deploy did not end as done: ${error instanceof Error ? (error.message.split('\n')[0] ?? '') : ''}`;
    return { name, measured: 'no', must: 'happens, and says so', holds: false, note, bars: [] };
  } finally {
    await grounds.shell('umount /proc/meminfo');
  }
}
