import assert from 'node:assert/strict';
import {
  AllocateAddressCommand,
  AssociateAddressCommand,
  CreateTagsCommand,
  DescribeAddressesCommand,
  EC2Client,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { awaitState, onHost, operatorClient } from '../cloud/cloud.ts';
import { taggedInstances } from '../cloud/enrol.ts';
import type { Run } from '../runner/runner.ts';
import type { Scene } from './scene.ts';
import type { Staging } from './staging.ts';
import { assertConclusion, jobOf, resultOf } from './verdict.ts';

/**
 * The machine itself goes back to its golden image, twice: while the old one still answers, so that its last writes come along, and
 * once it is destroyed together with its disk.
 */
export const theButtonImage: Scene = {
  key: 'button-image',
  name: 'The button: a new instance takes the place of one that answers, and of one that is destroyed',
  roles: ['depot'],
  later: true,
  async play({ depot, say }) {
    await depot.ensureLive();
    const address = await giveAddress(depot);
    say('an image of the instance is made, and proven');
    const imaged = await depot.dispatch('create-ami.yml', { inputs: { prove: 'true', reboot: 'false' } });
    assertConclusion(imaged, 'success');
    await visit(depot, 'ada');
    const first = depot.host.id;
    say('the button, while the old one answers');
    const answering = await press(depot, 'false');
    const second = await theOnly(depot);
    assert.notEqual(second, first);
    assert.equal(await holderOf(depot, address), second, 'the address does not lead to the new one');
    assert.deepEqual(await visits(depot), ['ada'], 'its last writes did not come along');
    await awaitState(depot.cloud, first, 'stopped');
    say('a backup is made; the machine is destroyed together with its disk');
    assertConclusion(await depot.dispatch('backup.yml'), 'success');
    await visit(depot, 'grace');
    await new EC2Client(operatorClient(depot.cloud)).send(
      new TerminateInstancesCommand({ InstanceIds: [second] }),
    );
    await awaitState(depot.cloud, second, 'terminated');
    const refused = await dispatch(depot, 'false');
    assertConclusion(refused, 'failure');
    assert.equal(resultOf(refused, 'rollback').reason, 'loss-unconfirmed');
    say('the button, once somebody confirmed what is lost');
    const lost = await press(depot, 'true');
    const third = await theOnly(depot);
    assert.equal(await holderOf(depot, address), third, 'the address does not lead to the newest one');
    assert.deepEqual(await visits(depot), ['ada'], 'the data is not that of the backup');
    const [quick, slow] = [answering, lost].map(({ seconds }) => Math.round(seconds));
    const summary = [answering, refused, lost].map((run) => jobOf(run, 'rollback').summary).join('\n');
    const note = `in ${quick} s with the last writes; in ${slow} s from the backup, after the machine and its disk were destroyed`;
    return { requests: 0, lost: 0, worstLatencyMs: null, apiCalls: 0, summary, note };
  },
};

/** An Elastic IP by which users come, as an operator gives one. */
async function giveAddress({ cloud, app, host }: Staging): Promise<string> {
  const ec2 = new EC2Client(operatorClient(cloud));
  const { AllocationId = '' } = await ec2.send(new AllocateAddressCommand({ Domain: 'vpc' }));
  const Tags = Object.entries({ App: app, Environment: 'staging' }).map(([Key, Value]) => ({ Key, Value }));
  await ec2.send(new CreateTagsCommand({ Resources: [AllocationId], Tags }));
  await ec2.send(new AssociateAddressCommand({ AllocationId, InstanceId: host.id }));
  return AllocationId;
}

async function holderOf({ cloud }: Staging, id: string): Promise<string> {
  const asked = new DescribeAddressesCommand({ AllocationIds: [id] });
  const { Addresses = [] } = await new EC2Client(operatorClient(cloud)).send(asked);
  return Addresses[0]?.InstanceId ?? '';
}

const dispatch = (depot: Staging, confirm: 'true' | 'false'): Promise<Run> =>
  depot.dispatch('rollback.yml', {
    inputs: { what: 'image', to: 'default', data: 'same', plan: 'false', confirm },
  });

async function press(depot: Staging, confirm: 'true' | 'false'): Promise<Run> {
  const run = await dispatch(depot, confirm);
  assertConclusion(run, 'success');
  const { result, reason } = resultOf(run, 'rollback');
  assert.deepEqual([result, reason], ['done', 'moved']);
  return run;
}

/** The one instance of the environment. */
async function theOnly({ cloud, app }: Staging): Promise<string> {
  const found = await taggedInstances(cloud, { app, environment: 'staging' });
  assert.equal(found.length, 1, `there are ${found.length} instances: ${found.join(', ')}`);
  return found[0] ?? '';
}

async function sql(depot: Staging, statement: string): Promise<string> {
  const database = `/srv/${depot.app}/shared/visits.db`;
  const argv = ['sqlite3', '-cmd', '.timeout 10000', database, statement];
  const { code, stdout, stderr } = await onHost(depot.cloud, await theOnly(depot), argv);
  assert.equal(code, 0, stderr);
  return stdout.trim();
}

const visit = (depot: Staging, name: string) => sql(depot, `INSERT INTO visits VALUES ('${name}')`);

async function visits(depot: Staging): Promise<string[]> {
  return (await sql(depot, 'SELECT name FROM visits')).split('\n');
}
