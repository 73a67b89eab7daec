"""One command, in a process of its own: it goes on when the agent is restarted, and dies with the machine.

Run by the agent as `worker.py ROOT COMMAND-FILE BELL CANCEL`: BELL and CANCEL are inherited descriptors of two
FIFOs, to say that a reply lies there, and to be told to stop.
"""

import datetime
import json
import os
import selectors
import signal
import subprocess
import sys
import time

from document import read_steps
from paths import Paths, read_json, write_json
from service import ServiceError, connect

OUTPUT_LIMIT, SUMMARY_LIMIT = 24_000, 2_500
CUT = b'--output truncated--'
# Exit codes that mean something to the agent.
STOPPED, SUCCESS_AND_SKIP, FAIL_AND_SKIP, REBOOT = 137, 168, 169, 194


def main(root, command, bell, cancel):
    os.set_inheritable(bell, False)
    os.set_inheritable(cancel, False)
    os.umask(0o022)
    Worker(Paths(root), command, bell, cancel).run()


class Worker:
    """Runs the steps in their order, and leaves a reply after each that the agent shall send."""

    def __init__(self, paths, command, bell, cancel):
        message = read_json(paths.current(command))
        self._paths, self._command, self._bell, self._cancel = paths, command, bell, cancel
        self._instance = message['Destination']
        self._payload = json.loads(message['Payload'])
        self._cancelled = False
        progress = read_json(paths.progress(command)) or {'results': {}, 'replies': 0}
        self._results, self._replies = progress['results'], progress['replies']
        write_json(paths.progress(command), progress | {'reboot': False})  # a crash from here on is no reboot asked for

    def run(self):
        steps = read_steps(self._payload)
        leave = False
        for step in steps:
            if step.name in self._results:
                continue  # done before the reboot
            if leave and not step.is_finally:
                result = skipped('Step execution skipped since a step before it ended the document. '
                                 f'Step name: {step.name}')
            else:
                result = self._run_step(step)
            if result['code'] == REBOOT and result['status'] == 'InProgress':
                self._save(reboot=True)
                return
            self._results[step.name] = result | {'name': step.action, 'stepName': step.name}
            leave = leave or ends_the_document(step, result)
            if len(steps) > 1:
                self._reply('InProgress', {step.name: self._results[step.name]})
        # The real agent repeats the only step in the final reply, and leaves several out of it.
        self._reply(judge(self._results), self._results if len(steps) == 1 else {}, final=True)

    def _run_step(self, step):
        started = now()
        folder = self._paths.orchestration(self._command, step.name)
        if self._cancelled:
            result = {'status': 'Cancelled', 'code': 1, 'output': '', 'standardOutput': '', 'standardError': ''}
        elif step.refusal:
            status, why = step.refusal
            result = {'status': status, 'code': 1 if status == 'Failed' else 0, 'output': why,
                      'standardOutput': '', 'standardError': ''}
        else:
            result = self._run_script(step, folder)
            self._upload(step, folder)
        bucket = self._payload.get('OutputS3BucketName', '')
        return result | {'startDateTime': started, 'endDateTime': now(), 'outputS3BucketName': bucket,
                         'outputS3KeyPrefix': self._s3_prefix() if bucket else ''}

    def _run_script(self, step, folder):
        os.makedirs(folder, mode=0o700, exist_ok=True)
        script = os.path.join(folder, '_script.sh')
        with open(os.open(script, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o700), 'w', encoding='utf-8',
                  errors='surrogatepass') as file:
            file.write('\n'.join(step.lines) + '\n')
        environment = os.environ | {
            'AWS_SSM_INSTANCE_ID': self._instance, # An association's is the same each time it runs.
            'SSM_COMMAND_ID': self._payload.get('CommandId') or self._command,
            'AWS_SSM_REGION_NAME': read_json(self._paths.config)['Agent']['Region']}
        environment.pop('LC_CTYPE', None)  # Python puts it there when the locale is C; the real agent does not
        code, trouble = self._watch(script, folder, step, environment)
        status = name_status(code, self._cancelled)
        if status == 'Failed':
            append(folder, 'stderr', f'failed to run commands: {trouble or f"exit status {code}"}'.encode())
        stdout, stderr = read_cut(folder, 'stdout'), read_cut(folder, 'stderr')
        return {'status': status, 'code': code, 'output': summarise(stdout, stderr),
                'standardOutput': as_text(stdout), 'standardError': as_text(stderr)}

    def _watch(self, script, folder, step, environment):
        """Runs `sh -c SCRIPT` until it ended *and* nobody holds its output, or it must be stopped: (code, why)."""
        try:
            process = subprocess.Popen(
                ['sh', '-c', script], cwd=step.folder, env=environment, process_group=0,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except OSError as trouble:  # a working directory that is not there
            return 1, str(trouble)
        deadline = time.monotonic() + step.timeout
        end = os.pidfd_open(process.pid)
        with selectors.DefaultSelector() as watched:
            for source, name in ((process.stdout, 'stdout'), (process.stderr, 'stderr'), (end, 'end'),
                                 (self._cancel, 'cancel')):
                watched.register(source, selectors.EVENT_READ, name)
            while len(watched.get_map()) > 1:  # until nothing but a cancel could still come
                ready = watched.select(max(0, deadline - time.monotonic()))
                if time.monotonic() >= deadline:
                    return stop_group(process)
                for key, _ in ready:
                    if key.data == 'cancel':
                        self._cancelled = True
                        return stop_group(process)
                    data = b'' if key.data == 'end' else os.read(key.fd, 65_536)
                    if data:
                        append(folder, key.data, data)
                    else:
                        watched.unregister(key.fileobj)
                    if key.data == 'end':
                        process.wait()  # reaped at once: whether its group still lives must be plain to see
        os.close(end)
        code = process.returncode
        # Only the shell that leads the group counts here: of the script's own death it makes 128 and the signal.
        return (code, '') if code >= 0 else (-1, f'signal: {signal.strsignal(-code).lower()}')

    def _upload(self, step, folder):
        bucket = self._payload.get('OutputS3BucketName')
        for name in ('stdout', 'stderr') if bucket else ():
            file = os.path.join(folder, name)
            if os.path.exists(file) and os.path.getsize(file):
                key = f'{self._s3_prefix()}/{step.action.replace(":", "")}/{step.name}/{name}'
                try:
                    connect(read_json(self._paths.config))[1].put_object(bucket, key, file)
                except ServiceError as trouble:
                    print(f'output not uploaded: {trouble}', file=sys.stderr)

    def _s3_prefix(self):
        parts = [self._payload.get('OutputS3KeyPrefix') or '', self._command, self._instance]
        return '/'.join(part.strip('/') for part in parts if part)

    def _reply(self, status, results, final=False):
        self._replies += 1
        reply = {'documentStatus': status, 'runtimeStatus': results, 'final': final,
                 'counts': count(self._results)}
        write_json(self._paths.reply(self._command, self._replies), reply)
        self._save(reboot=False)

    def _save(self, reboot):
        progress = {'results': self._results, 'replies': self._replies, 'reboot': reboot}
        write_json(self._paths.progress(self._command), progress)
        os.write(self._bell, b'.')


def stop_group(process):
    """SIGKILL to the process group, no trap. Children in a session of their own live on."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return 1, 'no such process'  # the script is over, a child of another group still holds its output
    process.wait()
    return STOPPED, ''


def name_status(code, cancelled):
    if code == STOPPED:
        return 'Cancelled' if cancelled else 'TimedOut'
    return {0: 'Success', SUCCESS_AND_SKIP: 'Success', REBOOT: 'InProgress'}.get(code, 'Failed')


def ends_the_document(step, result):
    if result['code'] in (SUCCESS_AND_SKIP, FAIL_AND_SKIP):
        return True
    if result['status'] == 'Success':
        return step.on_success == 'exit'
    return step.on_failure in ('exit', 'successAndExit')


def judge(results):
    """The document's status from its steps': the worst of them."""
    statuses = {result['status'] for result in results.values()}
    return next((worst for worst in ('Failed', 'TimedOut', 'Cancelled') if worst in statuses), 'Success')


def count(results):
    counts = {}
    for result in results.values():
        counts[result['status']] = counts.get(result['status'], 0) + 1
    return counts


def skipped(why):
    return {'status': 'Skipped', 'code': 0, 'output': why, 'standardOutput': '', 'standardError': '',
            'startDateTime': now(), 'endDateTime': now()}


def append(folder, name, data):
    with open(os.path.join(folder, name), 'ab') as file:
        file.write(data)


def read_cut(folder, name):
    """What the reply may carry of a stream: all of it below 24,000 bytes, or else its first 23,980 and a mark."""
    try:
        with open(os.path.join(folder, name), 'rb') as file:
            data = file.read(OUTPUT_LIMIT)
    except FileNotFoundError:
        return b''
    return data if len(data) < OUTPUT_LIMIT else data[:OUTPUT_LIMIT - len(CUT)] + CUT


def summarise(stdout, stderr):
    """`output`: both streams in 2,500 bytes, with the real agent's marks where something is missing."""
    title = b'\n----------ERROR-------\n' if stderr else b''
    no_more_out, no_more_err = b'\n---Output truncated---', b'\n---Error truncated----'
    room = SUMMARY_LIMIT - len(title)
    if len(stdout) + len(stderr) < room:
        return as_text(stdout + title + stderr)
    if len(stdout) > room // 2 and len(stderr) > room // 2:
        half = (room - len(no_more_out) - len(no_more_err)) // 2
        return as_text(stdout[:half] + no_more_out + title + stderr[:half] + no_more_err)
    if len(stdout) < room // 2:
        return as_text(stdout + title + stderr[:room - len(no_more_err) - len(stdout)] + no_more_err)
    return as_text(stdout[:room - len(no_more_out) - len(stderr)] + no_more_out + title + stderr)


def as_text(data):
    """Cut by bytes, then decoded: half a character and any other invalid byte becomes U+FFFD."""
    return data.decode('utf-8', errors='replace')


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%S.%f')[:-3] + 'Z'


if __name__ == '__main__':
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
