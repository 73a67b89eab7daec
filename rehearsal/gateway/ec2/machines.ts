import { ask } from '../../ground/socket.ts';
import type { Clock } from '../clock.ts';
import { ServiceError } from '../errors.ts';

/** EC2's names of an instance's states. */
export type MachineState = 'pending' | 'running' | 'stopping' | 'stopped' | 'shutting-down' | 'terminated';

/** One host behind an EC2 instance; `id` is the instance's. */
export interface Machine {
  readonly id: string;
  readonly ip: string;
  readonly state: MachineState;
  /** Size of its root disk. */
  readonly rootGiB: number;
}

export type MachineAction = 'stop' | 'start' | 'reboot';

/** What runs the hosts that EC2 instances stand for. */
export interface Machines {
  list(): Promise<Machine[]>;
  /** @param image undefined boots the base. */
  boot(id: string, settings: { image: string | undefined; rootGiB: number }): Promise<Machine>;
  act(id: string, action: MachineAction): Promise<void>;
  terminate(id: string): Promise<void>;
  /** Makes an image of a host; resolves when it can be launched. */
  capture(image: string, host: string, reboot: boolean): Promise<void>;
  discard(image: string): Promise<void>;
}

/** The hosts program, on its Unix socket. */
export function connectMachines(socketPath: string): Machines {
  const call = (method: string, path: string, body?: object) => callSocket(socketPath, method, path, body);
  return {
    list: async () => (await call('GET', '/hosts')) as Machine[],
    boot: async (id, { image, rootGiB }) =>
      (await call('PUT', `/hosts/${id}`, { ...(image === undefined ? {} : { image }), rootGiB })) as Machine,
    act: async (id, action) => {
      await call('POST', `/hosts/${id}/${action}`);
    },
    terminate: async (id) => {
      await call('DELETE', `/hosts/${id}`);
    },
    capture: async (image, host, reboot) => {
      await call('PUT', `/images/${image}`, { host, reboot });
    },
    discard: async (image) => {
      await call('DELETE', `/images/${image}`);
    },
  };
}

/** Hosts that are only a state that changes by itself, for tests of the gateway alone. */
export function imagineMachines(clock: Clock, takes = 500): Machines {
  const machines = new Map<string, { id: string; ip: string; state: MachineState; rootGiB: number }>();
  const find = (id: string) => {
    const machine = machines.get(id);
    if (machine === undefined) throw new ServiceError('InternalError', `There is no host ${id}.`, 500);
    return machine;
  };
  const change = (id: string, first: MachineState, then: MachineState) => {
    const machine = find(id);
    machine.state = first;
    clock.after(takes, () => {
      if (machine.state === first) machine.state = then;
    });
  };
  return {
    list: async () => [...machines.values()].map((each) => ({ ...each })),
    boot: async (id, { rootGiB }) => {
      const machine = {
        ...{ id, ip: `198.18.1.${machines.size + 1}`, rootGiB },
        state: 'pending' as MachineState,
      };
      machines.set(id, machine);
      change(id, 'pending', 'running');
      return { ...machine };
    },
    act: async (id, action) => {
      if (action === 'stop') change(id, 'stopping', 'stopped');
      else if (action === 'start') change(id, 'pending', 'running');
    },
    terminate: async (id) => change(id, 'shutting-down', 'terminated'),
    capture: () => new Promise((resolve) => void clock.after(takes, resolve)),
    discard: async () => {},
  };
}

async function callSocket(socketPath: string, method: string, path: string, body?: object): Promise<unknown> {
  const answer = await ask(socketPath, method, path, body);
  if (answer.status < 400) return answer.body;
  const why = `hosts: ${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`;
  throw new ServiceError('InternalError', why, 500);
}
