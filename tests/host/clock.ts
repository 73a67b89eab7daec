// A host's clock that is wrong, for the scripts and the tools that they ask for the time.
import type { Host } from './ground.ts';

// Where a preloaded library has the programs that start from now on read the time. It breaks who sleeps and polls.
const file = '/run/wrong-clock';
const names = [
  ...['LD_PRELOAD', 'FAKETIME_SHARED', 'FAKETIME_TIMESTAMP_FILE', 'FAKETIME_NO_CACHE'],
  ...['FAKETIME_DONT_FAKE_MONOTONIC', 'FAKETIME_ONLY_CMDS'],
];
// It keeps a semaphore that only the user who made it can open, and there are several users here.
const lay = `lib=$(ls /usr/lib/*/faketime/libfaketime.so.1)
systemctl stop wrong-clock 2>/dev/null || true
rm -f /dev/shm/*faketime*; echo +0 >${file}; chmod 644 ${file}
systemd-run --quiet --unit=wrong-clock --setenv=LD_PRELOAD="$lib" --setenv=FAKETIME=+0 sleep infinity
until [[ -e $(echo /dev/shm/sem.faketime_sem_*) ]]; do sleep 0.1; done
chmod 666 /dev/shm/*faketime*; name=$(cd /dev/shm; echo faketime_shm_*); name=\${name#faketime_shm_}
systemctl set-environment LD_PRELOAD="$lib" FAKETIME_SHARED="/faketime_sem_$name /faketime_shm_$name" \\
  FAKETIME_TIMESTAMP_FILE=${file} FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_ONLY_CMDS=bash,date,jq
systemctl show-environment | grep -E '^(LD_PRELOAD|FAKETIME_)' | sed "s/=\\$'\\(.*\\)'$/=\\1/"`;

/** Lets units that start from now on go by a clock of their own, which is right at first. Gives the variables that make it. */
export async function layClock(host: Host): Promise<string[]> {
  return (await host.shell(lay)).split('\n');
}

/** Sets it: off by so much, as in `+1h` or `-90s`. */
export async function setClock(host: Host, off: string): Promise<void> {
  await host.shell(`echo '${off}' >${file}`);
}

export async function liftClock(host: Host): Promise<void> {
  await host.shell(`systemctl unset-environment ${names.join(' ')}`);
}
