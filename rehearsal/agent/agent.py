#!/usr/bin/env python3
"""A stand-in for amazon-ssm-agent: polls for commands, runs each in a process of its own, sends what it replied.

It speaks the real agent's protocol (ec2messages over http, SigV4 with the instance's credentials from IMDSv2) and
copies its behaviour on the host. Observed on the real one; what was only read in its source says so.
"""

import datetime
import json
import os
import platform
import queue
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
import uuid

BESIDE = os.path.dirname(os.path.realpath(__file__))
# On a host this file is /usr/bin/amazon-ssm-agent, and its modules lie where programs keep theirs.
MODULES = BESIDE if os.path.exists(os.path.join(BESIDE, 'worker.py')) else '/usr/lib/amazon-ssm-agent'
sys.path.insert(0, MODULES)

from document import DocumentError, read_steps  # noqa: E402
from paths import Paths, read_json, write_json  # noqa: E402
from service import ServiceError, connect  # noqa: E402

NAME, VERSION = 'amazon-ssm-agent', '3.3.1142.0'
RUNNING, WAITING = 5, 5
POLL_TIMEOUT = 30  # seconds; the service answers within 20
LOST = ('document process failed unexpectedly: ipc messaging received timeout signal , '
        'check [ssm-document-worker]/[ssm-session-worker] log for crash reason')


def main():
    os.umask(0o022)
    root = os.environ.get('UNDERSTUDY_AGENT_ROOT', '/')
    config = read_json(Paths(root, 'none').config)
    if config is None:
        raise SystemExit(f'{NAME}: {root} has no etc/amazon/ssm/amazon-ssm-agent.json')
    metadata, service = connect(config)
    instance = until_answered(lambda: metadata.get('/latest/meta-data/instance-id'))
    zone = until_answered(lambda: metadata.get('/latest/meta-data/placement/availability-zone'))
    paths = Paths(root, instance)
    paths.enrol()
    agent = Agent(config, service, paths, instance)
    until_answered(lambda: agent.report_health(zone))
    agent.start_threads(zone)
    agent.take_up_what_is_left()
    agent.poll_forever()


def until_answered(ask, pause=1.0):
    """The real agent sleeps five minutes after a first call without an answer (source); a second serves a rig."""
    while True:
        try:
            return ask()
        except ServiceError as trouble:
            log(f'waiting: {trouble}')
            time.sleep(pause)


class Agent:
    """Ten commands have a place: five run, five wait; with an eleventh the poll stands still, cancels included."""

    def __init__(self, config, service, paths, instance):
        settings = config['Agent']
        # Settings of ours: tests shorten what is a minute, or five, on the real agent.
        self._reboot_delay = settings.get('RebootDelaySeconds', 60)
        self._lost_after = settings.get('LostCommandSeconds', 60)
        self._resend_every = settings.get('ResendSeconds', 300)
        self._poll_pause = settings.get('PollPauseSeconds', 2.0)
        self._service, self._paths, self._instance = service, paths, instance
        self._places = threading.Semaphore(RUNNING + WAITING)
        self._waiting = queue.Queue()
        self._cancelled = set()

    def start_threads(self, zone):
        for _ in range(RUNNING):
            start_thread(self._run_forever)
        start_thread(lambda: repeat(self._resend_every, self._resend))
        start_thread(lambda: repeat(300, lambda: self.report_health(zone)))
        start_thread(lambda: repeat(600, self._list_associations, first=random.uniform(10, 24)))

    # What the service hears of us

    def report_health(self, zone):
        system = platform.freedesktop_os_release()
        self._service.call('ssm', 'AmazonSSM.UpdateInstanceInformation', {
            'InstanceId': self._instance, 'AgentName': NAME, 'AgentVersion': VERSION, 'AgentStatus': 'Active',
            'AvailabilityZone': zone, 'ComputerName': socket.gethostname(), 'IPAddress': own_address(),
            'PlatformType': 'Linux', 'PlatformName': system.get('NAME', 'Linux'),
            'PlatformVersion': system.get('VERSION_ID', ''), 'SSMConnectionChannel': 'ec2messages'})

    def _list_associations(self):
        self._service.call('ssm', 'AmazonSSM.ListInstanceAssociations', {'InstanceId': self._instance,
                                                                         'MaxResults': 20})

    # From a message to a place in the queue

    def poll_forever(self):
        while True:
            started = time.monotonic()
            try:
                for message in self._get_messages():
                    self._accept(message)
            except ServiceError as trouble:
                log(f'poll: {trouble}')
            if time.monotonic() - started < 1:
                time.sleep(self._poll_pause + random.uniform(0, 0.5))

    def _get_messages(self):
        answer = self._service.call('ec2messages', target('GetMessages'), {
            'Destination': self._instance, 'MessagesRequestId': str(uuid.uuid4()),
            'VisibilityTimeoutInSeconds': 10}, POLL_TIMEOUT)
        return answer.get('Messages') or []

    def _accept(self, message):
        topic, message_id = message['Topic'], message['MessageId']
        try:
            if topic.startswith('aws.ssm.cancelCommand'):
                self._cancel(json.loads(message['Payload'])['CancelMessageId'])
            elif topic.startswith('aws.ssm.sendCommand'):
                return self._accept_command(message)
            else:
                raise ValueError(f'unexpected topic name {topic}')
        except (ValueError, KeyError) as trouble:
            log(f'{message_id}: {trouble!r}')
            return self._tell('FailMessage', {'MessageId': message_id, 'FailureType': 'InternalHandlerException'})
        self._reply_in_progress(message_id)

    def _accept_command(self, message):
        message_id, command = message['MessageId'], command_of(message['MessageId'])
        try:
            read_steps(json.loads(message['Payload']))
        except DocumentError as trouble:
            # A document error is told without an acknowledgement.
            return self._send_reply(message_id, {'documentStatus': 'Failed', 'documentTraceOutput': str(trouble)})
        if any(os.path.exists(known) for known in self._states_of(command)):
            return self._reply_in_progress(message_id)  # not run again
        write_json(self._paths.pending(command), message)
        self._places.acquire()
        self._reply_in_progress(message_id)
        self._waiting.put(command)

    def _states_of(self, command):
        return [self._paths.pending(command), self._paths.current(command), self._paths.completed(command)]

    def _reply_in_progress(self, message_id):
        self._send_reply(message_id, {'documentStatus': 'InProgress'})
        self._tell('AcknowledgeMessage', {'MessageId': message_id})

    def _cancel(self, message_id):
        """A running command is stopped by its worker; a waiting one vanishes, and never replies."""
        command = command_of(message_id)
        if os.path.exists(self._paths.pending(command)):
            self._cancelled.add(command)
        elif os.path.exists(self._paths.current(command)):
            ring(os.path.join(self._paths.channel(command), 'cancel'))

    # From the queue to the final reply

    def take_up_what_is_left(self):
        """After a restart: commands that were running first, then those that waited."""
        for state in ('current', 'pending'):
            folder = self._paths.state(state)
            names = [name for name in os.listdir(folder) if not name.startswith('.')]
            for command in sorted(names, key=lambda name: os.stat(os.path.join(folder, name)).st_mtime_ns):
                self._places.acquire()
                self._waiting.put(command)

    def _run_forever(self):
        while True:
            command = self._waiting.get()
            try:
                self._run(command)
            except Exception as trouble:  # one command's trouble must not take a runner from the others
                log(f'{command}: {trouble!r}')
            self._places.release()

    def _run(self, command):
        if command in self._cancelled:
            return os.rename(self._paths.pending(command), self._paths.completed(command))
        if os.path.exists(self._paths.pending(command)):
            os.rename(self._paths.pending(command), self._paths.current(command))
            bell = self._start_worker(command)
        else:
            bell = self._find_worker(command)
        message_id = read_json(self._paths.current(command))['MessageId']
        ended = self._follow(command, message_id, bell)
        if (read_json(self._paths.progress(command)) or {}).get('reboot') and not ended:
            return self._reboot(message_id)
        if not ended:
            time.sleep(self._lost_after)
            self._send_reply(message_id, self._lost(command))
        os.rename(self._paths.current(command), self._paths.completed(command))
        shutil.rmtree(self._paths.channel(command), ignore_errors=True)

    def _start_worker(self, command):
        """The worker leads a session of its own and holds the other end of the bell as long as it lives."""
        channel = self._paths.channel(command)
        os.makedirs(channel, mode=0o700, exist_ok=True)
        ends = []
        for name in ('bell', 'cancel'):
            path = os.path.join(channel, name)
            if not os.path.exists(path):
                os.mkfifo(path, 0o600)
            ends.append(os.open(path, os.O_RDWR | os.O_NONBLOCK))
        script = [sys.executable, os.path.join(MODULES, 'worker.py'), self._paths.root, command, *map(str, ends)]
        process = subprocess.Popen(script, pass_fds=ends, stdin=subprocess.DEVNULL, start_new_session=True)
        bell = os.open(os.path.join(channel, 'bell'), os.O_RDONLY)
        for end in ends:
            os.close(end)
        start_thread(process.wait)  # or it would stay a zombie
        return bell

    def _find_worker(self, command):
        """The bell of a worker that outlived an earlier agent, that of a new one after its reboot, or None."""
        path = os.path.join(self._paths.channel(command), 'bell')
        try:
            probe = os.open(path, os.O_WRONLY | os.O_NONBLOCK)  # refused unless a worker holds it
        except OSError:
            asked_for_it = (read_json(self._paths.progress(command)) or {}).get('reboot')
            return self._start_worker(command) if asked_for_it else None
        bell = os.open(path, os.O_RDONLY)
        os.close(probe)
        return bell

    def _follow(self, command, message_id, bell):
        """Sends the worker's replies until it is gone: whether the final one was among them."""
        ended = self._send_waiting_replies(command, message_id)
        if bell is None:
            return ended
        while os.read(bell, 4096):
            ended = self._send_waiting_replies(command, message_id) or ended
        os.close(bell)
        return self._send_waiting_replies(command, message_id) or ended

    def _send_waiting_replies(self, command, message_id):
        channel = self._paths.channel(command)
        ended = False
        names = os.listdir(channel) if os.path.isdir(channel) else []
        for name in sorted(name for name in names if name.startswith('reply-')):
            reply = read_json(os.path.join(channel, name))
            ended = ended or reply['final']
            self._send_reply(message_id, reply)
            os.unlink(os.path.join(channel, name))
        return ended

    def _lost(self, command):
        step = read_steps(json.loads(read_json(self._paths.current(command))['Payload']))[0]
        stamp = now()
        result = {'status': 'Failed', 'code': 1, 'name': step.action, 'stepName': step.name, 'output': LOST,
                  'standardOutput': '', 'standardError': '', 'startDateTime': stamp, 'endDateTime': stamp,
                  'outputS3BucketName': '', 'outputS3KeyPrefix': ''}
        return {'documentStatus': 'Failed', 'runtimeStatus': {step.name: result}, 'counts': {'Failed': 1}}

    def _reboot(self, message_id):
        self._send_reply(message_id, {'documentStatus': 'InProgress'})
        log(f'{message_id} asks for a reboot in {self._reboot_delay} s')
        time.sleep(self._reboot_delay)
        subprocess.run(['shutdown', '-r', 'now'], check=False)

    # Replies

    def _send_reply(self, message_id, reply):
        """Three tries; what nobody took is kept on disk and sent again every five minutes (source)."""
        payload = self._payload_of(reply)
        body = {'MessageId': message_id, 'ReplyId': str(uuid.uuid4()), 'Payload': json.dumps(payload)}
        for pause in (0.5, 1, None):
            try:
                return self._service.call('ec2messages', target('SendReply'), body)
            except ServiceError as trouble:
                log(f'reply to {message_id}: {trouble}')
                if pause:
                    time.sleep(pause)
        return write_json(os.path.join(self._paths.unsent(), f'{time.time_ns()}-{uuid.uuid4()}'), body)

    def _payload_of(self, reply):
        agent = {'lang': 'en-US', 'name': NAME, 'os': '', 'osver': '1', 'ver': VERSION}
        return {
            'additionalInfo': {'agent': agent, 'dateTime': now(), 'runId': '',
                               'runtimeStatusCounts': reply.get('counts') or {}},
            'documentStatus': reply['documentStatus'],
            'documentTraceOutput': reply.get('documentTraceOutput', ''),
            'runtimeStatus': reply.get('runtimeStatus')}

    def _resend(self):
        folder = self._paths.unsent()
        for name in sorted(name for name in os.listdir(folder) if not name.startswith('.')):
            path = os.path.join(folder, name)
            self._service.call('ec2messages', target('SendReply'), read_json(path))
            os.unlink(path)

    def _tell(self, action, payload):
        try:
            self._service.call('ec2messages', target(action), payload)
        except ServiceError as trouble:
            log(f'{action}: {trouble}')


def target(action):
    return f'EC2WindowsMessageDeliveryService.{action}'


def command_of(message_id):
    """aws.ssm.<command>.<instance> → <command>"""
    return message_id.split('.')[2]


def ring(fifo):
    """One byte to whoever holds the FIFO; nothing when nobody does."""
    try:
        end = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return
    os.write(end, b'.')
    os.close(end)


def repeat(seconds, act, first=None):
    time.sleep(seconds if first is None else first)
    while True:
        try:
            act()
        except ServiceError as trouble:
            log(str(trouble))
        time.sleep(seconds)


def start_thread(act):
    threading.Thread(target=act, daemon=True).start()


def own_address():
    """The address that the way out would use; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(('198.18.0.1', 9))
            return probe.getsockname()[0]
        except OSError:
            return ''


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%S.%f')[:-3] + 'Z'


def log(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == '__main__':
    main()
