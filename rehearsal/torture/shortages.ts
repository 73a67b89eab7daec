/** What a host may lack: room, memory, a port, a unit, a folder that can be written, the right bytes. */
import { deployed, type Expected, refused } from './journal.ts';
import { at, mostlyByPause } from './steps.ts';
import type { Fault, Stage, Struck } from './trial.ts';

const shell =
  (command: string) =>
  async ({ host }: Stage | Struck): Promise<void> => {
    await host.shell(command);
  };

const filler = '/var/lib/filler';
/** Fills the host's disk but for so many KiB. */
const fill = (but: number) =>
  `free=$(df --output=avail --block-size=1K / | tail -n 1); fallocate --length $(((free - ${but}) * 1024)) ${filler}`;
const fillUp = `${fill(64)}; cat /dev/zero >${filler}-rest 2>/dev/null || true`;
const free = `rm -f ${filler} ${filler}-rest`;

/** A step that failed before the switch: all is put back. */
function putBack(says: Expected['says']): () => Expected {
  const reason = /^(no-room|(backup|switch|migrate)-failed)$/;
  return () => ({ result: 'reverted', reason, live: 'old', met: false, data: 'old', says });
}

const folderOf: Record<string, string> = {
  unpack: '/srv/shop/releases',
  backup: '/var/lib/understudy/shop/backups',
  copy: '/var/lib/understudy/shop/rehearsal',
};

const readOnly = (folder: string) =>
  `mkdir -p ${folder}; mount --bind ${folder} ${folder}; mount -o remount,bind,ro ${folder}`;

const unit = '/etc/systemd/system/shop-probe@.socket';

export const shortages: readonly Fault[] = [
  {
    name: 'a full disk, found before unpacking',
    points: at('room'),
    arrange: shell(fill(20_000)),
    mend: shell(free),
    expected: () => refused('no-room', /has \d+ MiB free, and a deploy needs about \d+ MiB/),
    readersOnly: true,
  },
  {
    name: 'a disk that fills up in the middle',
    // Later, what is left of the room is enough to be deployed all the same.
    points: mostlyByPause('backup', 'unpack'),
    strike: shell(fillUp),
    mend: shell(free),
    expected: putBack(/The disk of the host (filled up|is full)|No space left on device/),
    readersOnly: true,
  },
  {
    name: 'a read-only folder, found before unpacking',
    points: at('room'),
    arrange: shell(readOnly('/srv/shop/releases')),
    mend: shell('umount /srv/shop/releases'),
    expected: () => refused('read-only', '/srv/shop/releases cannot be written: its volume is read-only.'),
  },
  {
    name: 'a folder that becomes read-only in the middle',
    points: mostlyByPause('backup', 'unpack', 'copy'),
    strike: async ({ host }, { step }) => {
      await host.shell(readOnly(folderOf[step] ?? ''));
    },
    mend: shell(`for folder in ${Object.values(folderOf).join(' ')}; do
  if mountpoint --quiet "$folder"; then umount "$folder"; fi
done`),
    expected: putBack(/[Rr]ead-only|could not be copied|cannot change permissions/),
  },
  {
    name: 'a digest that differs',
    points: at('download'),
    bring: async ({ host }, release, operation) => {
      await host.put(release, Buffer.from('other bytes'));
      return host.deployStored(release, { operation });
    },
    expected: () => refused('bad-digest', /^The archive's SHA-256 is [0-9a-f]{64}, not [0-9a-f]{64}/),
  },
  {
    name: 'a missing unit',
    points: at('lock'),
    arrange: shell(`mv ${unit} /root/; systemctl daemon-reload`),
    mend: shell(`mv /root/${unit.split('/').at(-1)} ${unit}; systemctl daemon-reload`),
    expected: () =>
      refused('not-prepared', `${unit} is missing on this host: an operator sends shop-prepare-host`),
  },
  {
    name: 'a port that another process took',
    points: at('lock'),
    arrange: shell(`systemctl stop shop.socket 'shop@*'
systemd-run --quiet --unit=thief python3 -m http.server 8080
for ((i = 0; i < 100; i++)); do ss -Hltn 'sport = :8080' | grep -q 8080 && break; sleep 0.1; done
systemctl start shop.socket && exit 1 || true`),
    mend: async ({ host }) => {
      await host.shell('systemctl stop thief; systemctl reset-failed shop.socket');
      await host.prepare();
    },
    downUntilMended: true,
    expected: () => refused('socket-inactive', /shop\.socket is failed.*port 8080 is held by.*python3/),
  },
  {
    name: 'too little memory for two releases',
    points: at('room'),
    arrange: shell(`sed 's/^MemAvailable:.*/MemAvailable: 1024 kB/' /proc/meminfo >/run/meminfo
mount --bind /run/meminfo /proc/meminfo`),
    mend: shell('umount /proc/meminfo'),
    expected: () => ({ ...deployed, says: /only 1 MiB are free for another beside it: the port was held/ }),
  },
];
