/** Halts a deploy at an exact line of its journal, with the script as it is shipped. */
import type { Host } from '../../tests/host/ground.ts';
import type { Point } from './journal.ts';

const folder = '/run/torture';

// Each line of the journal is on the disk before what it announces is done: `sync` comes in between, by its name on
// the PATH. So this one, laid before it, stands still when the line has come that it waits for.
const sync = `#!/bin/sh
/usr/bin/sync "$@" || exit
case "$*" in */operations/*/journal.jsonl) ;; *) exit 0 ;; esac
line=$(cat ${folder}/line 2>/dev/null) || exit 0
tail -n 1 "$1" | grep -qF "$line" || exit 0
echo "$line" >${folder}/halted
while [ "$(cat ${folder}/line 2>/dev/null)" = "$line" ]; do sleep 0.05; done
`;

const line = ({ step, fact }: Point): string =>
  fact === undefined ? `"step":"${step}","event":"started"` : `"fact":"${fact}"`;

/** From now on, a deploy on the host stands still at this point; one that stands still at another goes on. */
export async function haltAt(host: Host, point: Point): Promise<void> {
  await host.shell(`cat >/usr/local/sbin/sync <<'END'\n${sync}END\nchmod 755 /usr/local/sbin/sync
mkdir -p ${folder}; echo '${line(point)}' >${folder}/line.new; mv ${folder}/line.new ${folder}/line`);
}

/** Resolves when it stands still there. */
export function untilHalted(host: Host, point: Point): Promise<void> {
  return host.until(`grep -qF '${line(point)}' ${folder}/halted`);
}

/** Lets it go on, if there is anything left of it. */
export async function letGo(host: Host): Promise<void> {
  await host.shell(`rm -rf ${folder}`);
}
