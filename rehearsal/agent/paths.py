"""Where the agent keeps what: the real agent's places, below a root that tests may move."""

import json
import os


class Paths:
    """Files of one instance. `root` is `/` on a host."""

    def __init__(self, root, instance=None):
        self.root = root
        self.config = os.path.join(root, 'etc/amazon/ssm/amazon-ssm-agent.json')
        self._data = os.path.join(root, 'var/lib/amazon/ssm')
        self.instance = instance or self._only_instance()

    def _only_instance(self):
        return read_json(os.path.join(self._data, 'instance'))['instance']

    def enrol(self):
        """Makes the folders, and notes whose they are, so that a worker finds them with the root alone."""
        for state in ('pending', 'current', 'completed'):
            os.makedirs(self.state(state), mode=0o700, exist_ok=True)
        for folder in ('channels', 'replies', 'document/orchestration'):
            os.makedirs(self._of_instance(folder), mode=0o700, exist_ok=True)
        write_json(os.path.join(self._data, 'instance'), {'instance': self.instance})

    def state(self, state):
        return self._of_instance('document/state', state)

    def pending(self, command):
        return self._of_instance('document/state/pending', command)

    def current(self, command):
        return self._of_instance('document/state/current', command)

    def completed(self, command):
        return self._of_instance('document/state/completed', command)

    def orchestration(self, command, step):
        return self._of_instance('document/orchestration', command, step)

    def channel(self, command):
        return self._of_instance('channels', command)

    def progress(self, command):
        return os.path.join(self.channel(command), 'progress')

    def reply(self, command, number):
        return os.path.join(self.channel(command), f'reply-{number:04}')

    def unsent(self):
        """Replies that nobody took, kept for a later try."""
        return self._of_instance('replies')

    def _of_instance(self, *parts):
        return os.path.join(self._data, self.instance, *parts)


def read_json(path):
    """What a file holds; None when there is no such file."""
    try:
        with open(path, encoding='utf-8') as file:
            return json.load(file)
    except FileNotFoundError:
        return None


def write_json(path, value):
    """Written beside, synced and renamed: a crash leaves the old content or the new one."""
    beside = os.path.join(os.path.dirname(path), '.' + os.path.basename(path))
    with open(beside, 'w', encoding='utf-8') as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    os.rename(beside, path)
