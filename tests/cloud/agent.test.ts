import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { INSTANCE, Rig, step } from './agent/rig.ts';

jest.setTimeout(40_000);

// Each test names the fact of the real agent that it holds (facts-agent.md).

describe('our agent behaves as the real one', () => {
  let rig: Rig;

  beforeEach(async () => {
    rig = await Rig.open({ RebootDelaySeconds: 0.2, LostCommandSeconds: 0.2, ResendSeconds: 0.3 });
  });

  afterEach(async () => {
    await rig.close();
  });

  describe('how it talks', () => {
    test('it tells of itself before it polls, signed for each service with the role of the instance', async () => {
      await rig.until(() => rig.calls.some(({ action }) => action === 'GetMessages'));
      const [first, second] = rig.calls;
      expect(first).toMatchObject({
        action: 'UpdateInstanceInformation',
        body: {
          InstanceId: INSTANCE,
          AgentName: 'amazon-ssm-agent',
          AgentStatus: 'Active',
          PlatformType: 'Linux',
        },
      });
      expect(first?.authorization).toMatch(
        /^AWS4-HMAC-SHA256 Credential=ASIAEXAMPLE\/\d{8}\/us-east-2\/ssm\/aws4_request, SignedHeaders=[a-z0-9;-]*x-amz-security-token/,
      );
      expect(second?.authorization).toContain('/us-east-2/ec2messages/aws4_request');
      expect(second?.body).toMatchObject({ Destination: INSTANCE, VisibilityTimeoutInSeconds: 10 });
    });

    test('the acknowledgement comes after the first reply, and the final reply after both', async () => {
      const { command } = await rig.run(['date']);
      const about = rig.calls.filter((call) => call.about === command).map(({ action }) => action);
      expect(about).toEqual(['SendReply', 'AcknowledgeMessage', 'SendReply']);
      const [accepted, ended] = rig.replies(command);
      expect(accepted).toMatchObject({ documentStatus: 'InProgress', runtimeStatus: null });
      expect(ended).toMatchObject({
        documentStatus: 'Success',
        runtimeStatus: { step: { status: 'Success', code: 0, name: 'aws:runShellScript', stepName: 'step' } },
        additionalInfo: { agent: { name: 'amazon-ssm-agent' }, runtimeStatusCounts: { Success: 1 } },
      });
    });

    test('with several steps each is told as it ends, and the final reply carries no step results', async () => {
      const command = rig.send({ steps: [step('first', ['exit 3']), step('second', ['echo two'])] });
      await rig.final(command);
      const [, first, second, last] = rig.replies(command);
      expect(first).toMatchObject({ documentStatus: 'InProgress', runtimeStatus: { first: { code: 3 } } });
      expect(second).toMatchObject({ runtimeStatus: { second: { standardOutput: 'two\n' } } });
      expect(last).toMatchObject({ documentStatus: 'Failed', runtimeStatus: {} });
    });

    test('a document error is Failed with no acknowledgement', async () => {
      const command = rig.send({ lines: ['date'], schemaVersion: '9.9' });
      const { documentTraceOutput } = await rig.final(command);
      expect(documentTraceOutput).toContain('schema version 9.9');
      await rig.run(['date']);
      const about = rig.calls.filter((call) => call.about === command).map(({ action }) => action);
      expect(about).toEqual(['SendReply']);
    });

    test('a reply that nobody took is kept and sent again', async () => {
      const command = rig.send({ lines: [`echo > ${rig.file('started')}`, 'sleep 0.3', 'echo heard'] });
      await rig.untilFile('started');
      rig.deaf = true;
      const unsent = join(rig.root, 'var/lib/amazon/ssm', INSTANCE, 'replies');
      await rig.until(() => execFileSync('ls', [unsent], { encoding: 'utf8' }) !== '');
      rig.deaf = false;
      expect((await rig.final(command)).runtimeStatus?.['step']?.standardOutput).toBe('heard\n');
    });
  });

  describe('aws:runShellScript', () => {
    test('the lines become _script.sh, mode 0700, with the whole output beside it', async () => {
      const { command } = await rig.run(['#!/bin/bash', 'echo "out $0"', 'echo err >&2']);
      const folder = rig.orchestration(command);
      expect(readFileSync(join(folder, '_script.sh'), 'utf8')).toBe(
        '#!/bin/bash\necho "out $0"\necho err >&2\n',
      );
      expect(statSync(join(folder, '_script.sh')).mode & 0o777).toBe(0o700);
      expect(readFileSync(join(folder, 'stdout'), 'utf8')).toBe(`out ${folder}/_script.sh\n`);
      expect(readFileSync(join(folder, 'stderr'), 'utf8')).toBe('err\n');
    });

    test('no HOME, USER, SHELL or TERM; the ids of instance, region and command', async () => {
      const { standardOutput, command } = await rig.run(['env -u PWD -u OLDPWD -u SHLVL -u _']);
      const variables = new Map(
        standardOutput.split('\n').map((line) => line.split('=', 2) as [string, string]),
      );
      for (const absent of ['HOME', 'USER', 'LOGNAME', 'SHELL', 'TERM', 'LC_CTYPE']) {
        expect(variables.has(absent)).toBe(false);
      }
      expect(variables.get('AWS_SSM_INSTANCE_ID')).toBe(INSTANCE);
      expect(variables.get('AWS_SSM_REGION_NAME')).toBe('us-east-2');
      expect(variables.get('SSM_COMMAND_ID')).toBe(command);
    });

    test('umask 0022, stdin /dev/null, cwd /usr/bin, a process group of its own', async () => {
      const { standardOutput } = await rig.run([
        'umask; pwd; readlink /proc/self/fd/0; test $(ps -o pgid= -p $$) -eq $PPID && echo own group',
      ]);
      expect(standardOutput).toBe('0022\n/usr/bin\n/dev/null\nown group\n');
    });

    test('a working directory that is not there is a failure of the step', async () => {
      const command = rig.send({ steps: [step('step', ['pwd'], { workingDirectory: '/nowhere' })] });
      const { runtimeStatus } = await rig.final(command);
      expect(runtimeStatus?.['step']).toMatchObject({ status: 'Failed', code: 1, standardOutput: '' });
    });

    test('the shebang counts only as the first bytes: otherwise dash interprets', async () => {
      const ask = '[ -n "$BASH_VERSION" ] && echo bash || echo dash';
      expect((await rig.run(['#!/bin/bash', ask])).standardOutput).toBe('bash\n');
      expect((await rig.run(['', '#!/bin/bash', ask])).standardOutput).toBe('dash\n');
    });

    test('23,999 bytes pass; of 24,000 the first 23,980 and a mark', async () => {
      const whole = await rig.run(["head -c 23999 /dev/zero | tr '\\0' a"]);
      expect(whole.standardOutput).toBe('a'.repeat(23_999));
      const cut = await rig.run(["head -c 24000 /dev/zero | tr '\\0' a | tee /dev/stderr"]);
      expect(cut.standardOutput).toBe(`${'a'.repeat(23_980)}--output truncated--`);
      expect(cut.standardError).toBe(`${'a'.repeat(23_980)}--output truncated--`);
      expect(statSync(join(rig.orchestration(cut.command), 'stdout')).size).toBe(24_000);
    });

    test('invalid UTF-8 becomes U+FFFD, also where a character is cut in two', async () => {
      expect((await rig.run(["printf 'a\\377b'"])).standardOutput).toBe('a\uFFFDb');
      const cut = await rig.run(["printf a; for i in $(seq 12000); do printf 'é'; done"]);
      expect(cut.standardOutput).toBe(`a${'é'.repeat(11_989)}\uFFFD--output truncated--`);
    });

    test('`output` has 2,500', async () => {
      const { output } = await rig.run(["head -c 5000 /dev/zero | tr '\\0' a"]);
      expect(output).toHaveLength(2500);
      expect(output.endsWith('\n---Output truncated---')).toBe(true);
      expect((await rig.run(['echo out', 'echo err >&2'])).output).toBe(
        'out\n\n----------ERROR-------\nerr\n',
      );
    });

    test.each([
      [0, 'Success'],
      [1, 'Failed'],
      [137, 'TimedOut'],
      [143, 'Failed'],
      [168, 'Success'],
      [169, 'Failed'],
    ])('exit %i is %s', async (code, status) => {
      expect(await rig.run([`exit ${code}`])).toMatchObject({ code, status });
    });

    test('137 is TimedOut also when the kernel kills the script', async () => {
      expect(await rig.run(['kill -9 $$'])).toMatchObject({ code: 137, status: 'TimedOut' });
    });

    test('a script that kills its whole group has Failed, with no exit code', async () => {
      expect(await rig.run(['kill -9 0'])).toMatchObject({
        code: -1,
        status: 'Failed',
        standardError: 'failed to run commands: signal: killed',
      });
    });

    test('a failed exit appends `failed to run commands: exit status N` to stderr', async () => {
      const { standardError } = await rig.run(['echo trouble >&2', 'exit 3']);
      expect(standardError).toBe('trouble\nfailed to run commands: exit status 3');
    });

    test('steps run in sequence, and a failed one does not stop the next', async () => {
      const command = rig.send({ steps: [step('a', ['echo a; false']), step('b', ['echo b'])] });
      await rig.final(command);
      expect(rig.replies(command)[2]?.runtimeStatus?.['b']).toMatchObject({ standardOutput: 'b\n' });
    });

    test.each([
      [168, 'Success'],
      [169, 'Failed'],
    ])('exit %i skips the other steps and makes the document %s', async (code, status) => {
      const command = rig.send({ steps: [step('a', [`exit ${code}`]), step('b', ['echo b'])] });
      expect(await rig.final(command)).toMatchObject({ documentStatus: status });
      expect(rig.replies(command)[2]?.runtimeStatus?.['b']).toMatchObject({ status: 'Skipped' });
    });

    test('a precondition on another platform skips the step', async () => {
      const other = { ...step('a', ['echo a']), precondition: { StringEquals: ['platformType', 'Windows'] } };
      const command = rig.send({ steps: [other] });
      expect((await rig.final(command)).runtimeStatus?.['a']).toMatchObject({ status: 'Skipped', code: 0 });
    });

    test('a background child that holds stdout delays the end', async () => {
      const { standardOutput } = await rig.run(['(sleep 0.5; echo late) &', 'echo soon']);
      expect(standardOutput).toBe('soon\nlate\n');
    });

    test('a background child that lets go of its output does not', async () => {
      const go = rig.file('go');
      const lines = [
        `(until [ -e ${go} ]; do sleep 0.05; done; echo > ${go}.seen) >/dev/null 2>&1 &`,
        'echo soon',
      ];
      expect((await rig.run(lines)).standardOutput).toBe('soon\n');
      execFileSync('touch', [go]);
      await rig.untilFile('go.seen');
    });
  });

  describe('time-outs and cancels', () => {
    test('a time-out is SIGKILL to the group: no trap, 137, output kept; a session of its own survives', async () => {
      const go = rig.file('go');
      const killed = rig.run({
        timeout: '5',
        lines: [
          '#!/bin/bash',
          `trap 'echo trapped' EXIT TERM`,
          `setsid bash -c 'until [ -e ${go} ]; do sleep 0.05; done; echo > ${go}.seen' >/dev/null 2>&1 &`,
          'echo begun',
          'sleep 60',
        ],
      });
      const babbling = rig.run({ timeout: '5', lines: ['while :; do echo babble; done'] });
      // Script over, but a child of another group holds stdout until the limit.
      const held = rig.run({ timeout: '5', lines: ['setsid sleep 7 2>/dev/null &', 'echo begun'] });
      expect(await killed).toMatchObject({
        status: 'TimedOut',
        code: 137,
        standardOutput: 'begun\n',
        standardError: '',
      });
      expect(await held).toMatchObject({
        status: 'Failed',
        code: 1,
        standardOutput: 'begun\n',
        standardError: 'failed to run commands: no such process',
      });
      expect(await babbling).toMatchObject({ status: 'TimedOut', code: 137 });
      execFileSync('touch', [go]);
      await rig.untilFile('go.seen');
    });

    test('a cancel is the same, and says Cancelled', async () => {
      const command = rig.send({
        lines: [
          '#!/bin/bash',
          `trap 'echo trapped' EXIT`,
          'echo begun',
          `echo > ${rig.file('go')}`,
          'sleep 60',
        ],
      });
      await rig.untilFile('go');
      const cancel = rig.cancel(command);
      const { documentStatus, runtimeStatus } = await rig.final(command);
      expect(documentStatus).toBe('Cancelled');
      expect(runtimeStatus?.['step']).toMatchObject({
        status: 'Cancelled',
        code: 137,
        standardOutput: 'begun\n',
      });
      await rig.until(() =>
        rig.calls.some((call) => call.action === 'AcknowledgeMessage' && call.about === cancel),
      );
    });

    test('five commands run, five wait, and an eleventh blocks the poll, cancels included', async () => {
      const go = rig.file('go');
      const wait = (name: string): string[] => [
        `echo > ${rig.file(name)}`,
        `until [ -e ${go} ]; do sleep 0.05; done`,
      ];
      const commands = Array.from({ length: 11 }, (_, index) => rig.send({ lines: wait(`began-${index}`) }));
      await rig.untilFile('began-4');
      // The eleventh message was handed over, then nothing is asked for any more.
      const polls = (): number => rig.calls.filter(({ action }) => action === 'GetMessages').length;
      await rig.until(() => polls() === 11);
      const cancel = rig.cancel(commands[0] ?? '');
      await sleep(1000);
      expect(polls()).toBe(11);
      const accepted = commands.filter((command) => rig.replies(command).length > 0);
      expect(accepted).toHaveLength(10);
      expect(existsSync(rig.file('began-5'))).toBe(false);
      execFileSync('touch', [go]);
      for (const command of commands.slice(1))
        expect(await rig.final(command)).toMatchObject({ documentStatus: 'Success' });
      await rig.until(() => rig.replies(cancel).length > 0);
    });

    test('a cancelled command that still waits never replies again, and never runs', async () => {
      const go = rig.file('go');
      const running = Array.from({ length: 5 }, () =>
        rig.send({ lines: [`until [ -e ${go} ]; do sleep 0.05; done`] }),
      );
      const waiting = rig.send({ lines: [`echo > ${rig.file('ran')}`] });
      await rig.until(() => rig.replies(waiting).length === 1);
      const cancel = rig.cancel(waiting);
      await rig.until(() => rig.replies(cancel).length === 1);
      execFileSync('touch', [go]);
      for (const command of running) await rig.final(command);
      await rig.run(['date']);
      expect(rig.replies(waiting)).toHaveLength(1);
      expect(existsSync(rig.file('ran'))).toBe(false);
    });
  });

  describe('exactly what was sent', () => {
    test('the same command id twice is not run again, and brings InProgress after Success', async () => {
      const order = { lines: [`echo ran >> ${rig.file('ran')}`] };
      const command = rig.send(order);
      await rig.final(command);
      rig.send(order, command);
      await rig.until(() => rig.replies(command).length === 3);
      await rig.run(['date']);
      expect(rig.replies(command).map(({ documentStatus }) => documentStatus)).toEqual([
        'InProgress',
        'Success',
        'InProgress',
      ]);
      expect(readFileSync(rig.file('ran'), 'utf8')).toBe('ran\n');
    });

    test('{{ name }} is plain replacement without any quoting; interpolationType is ignored', async () => {
      const declared = {
        text: { type: 'String', interpolationType: 'ENV_VAR' },
        more: { type: 'String', default: 'by default' },
      };
      const parameters = { text: 'a; echo pasted' };
      const lines = ['echo {{ text }} "[$SSM_text]"', "echo '{{more}}'"];
      const { standardOutput } = await rig.run({ lines, declared, parameters });
      expect(standardOutput).toBe('a\npasted []\nby default\n');
    });

    test('a list of lines can be a parameter', async () => {
      const declared = { commands: { type: 'StringList' } };
      const order = { steps: [step('step', '{{ commands }}')], declared };
      const { standardOutput } = await rig.run({ ...order, parameters: { commands: ['echo a', 'echo b'] } });
      expect(standardOutput).toBe('a\nb\n');
    });

    test.each(['Bad', 'ok\n', 'ok;'])('allowedPattern is checked by the agent too: %j', async (app) => {
      const declared = { app: { type: 'String', allowedPattern: '^[a-z]+$' } };
      const command = rig.send({ lines: ['echo {{ app }}'], declared, parameters: { app } });
      expect(await rig.final(command)).toMatchObject({ documentStatus: 'Failed', runtimeStatus: null });
      expect(rig.replies(command)).toHaveLength(1);
    });

    test('output goes to S3 before the reply, after a look at the bucket', async () => {
      const { command } = await rig.run({ lines: ['echo out'], bucket: 'isso-understudy' });
      const s3 = rig.calls.filter(({ action }) => ['HEAD', 'GET', 'PUT'].includes(action));
      const key = `/isso-understudy/logs/isso/${command}/${INSTANCE}/awsrunShellScript/step/stdout`;
      expect(s3.map(({ action, about }) => `${action} ${about}`)).toEqual([
        'HEAD /isso-understudy',
        'GET /isso-understudy?encryption',
        `PUT ${key}`,
      ]);
      expect(s3.at(-1)?.body['content']).toBe('out\n');
      expect(rig.calls.findLastIndex(({ about }) => about === command)).toBeGreaterThan(
        rig.calls.findIndex(({ about }) => about === key),
      );
    });

    test('an upload that fails is only logged', async () => {
      rig.s3Status = 403;
      const { status } = await rig.run({ lines: ['echo out'], bucket: 'isso-understudy' });
      expect(status).toBe('Success');
    });
  });

  describe('restarts and reboots', () => {
    test('exit 194 reboots, then runs the same step again from line 1, its output appended', async () => {
      const flag = rig.file('rebooted');
      const command = rig.send({
        steps: [
          step('before', ['echo before']),
          step('step', ['echo line 1', `[ -e ${flag} ] && exit 0`, `echo > ${flag}`, 'exit 194']),
        ],
      });
      await rig.untilFile('shutdown');
      expect(readFileSync(rig.file('shutdown'), 'utf8')).toBe('-r now\n');
      await rig.kill();
      rig.start();
      expect(await rig.final(command)).toMatchObject({ documentStatus: 'Success' });
      const results = rig.replies(command).flatMap(({ runtimeStatus }) => Object.values(runtimeStatus ?? {}));
      expect(results.map(({ stepName, standardOutput }) => [stepName, standardOutput])).toEqual([
        ['before', 'before\n'],
        ['step', 'line 1\nline 1\n'],
      ]);
    });

    test('the agent killed with -9: the command goes on and is reported', async () => {
      const go = rig.file('go');
      const command = rig.send({
        lines: [`echo > ${go}.began`, `until [ -e ${go} ]; do sleep 0.05; done`, 'echo lived'],
      });
      await rig.untilFile('go.began');
      await rig.kill();
      rig.start();
      execFileSync('touch', [go]);
      expect((await rig.final(command)).runtimeStatus?.['step']?.standardOutput).toBe('lived\n');
    });

    test('a command that ended while no agent was there is reported by the next', async () => {
      const command = rig.send({
        lines: [`echo > ${rig.file('began')}`, 'sleep 0.3', `echo > ${rig.file('ended')}`],
      });
      await rig.untilFile('began');
      await rig.kill();
      await rig.untilFile('ended');
      rig.start();
      expect(await rig.final(command)).toMatchObject({ documentStatus: 'Success' });
    });

    test('a crash in the middle: not run again, but reported Failed 1 with empty output; what waited does run', async () => {
      const sleepers = Array.from({ length: 4 }, () => rig.send({ lines: ['sleep 2'] }));
      await rig.until(() => sleepers.every((command) => rig.replies(command).length > 0));
      const lines = [
        'echo begun',
        `echo again >> ${rig.file('ran')}`,
        `echo $$ > ${rig.file('pid')}`,
        'sleep 60',
      ];
      const command = rig.send({ lines });
      await rig.untilFile('pid');
      const waiting = rig.send({ lines: ['echo waited'] });
      await rig.until(() => rig.replies(waiting).length === 1);
      await rig.crash(command);
      rig.start();
      const { documentStatus, runtimeStatus } = await rig.final(command);
      expect(documentStatus).toBe('Failed');
      expect(runtimeStatus?.['step']).toMatchObject({ code: 1, standardOutput: '', standardError: '' });
      expect(runtimeStatus?.['step']?.output).toMatch(
        /^document process failed unexpectedly: ipc messaging received timeout signal/,
      );
      expect(readFileSync(rig.file('ran'), 'utf8')).toBe('again\n');
      expect((await rig.final(waiting)).runtimeStatus?.['step']?.standardOutput).toBe('waited\n');
    });
  });
});

describe('reading a document', () => {
  function evaluate(expression: string): string {
    const folder = join(import.meta.dirname, '../../rehearsal/agent');
    const script = `import sys; sys.path.insert(0, ${JSON.stringify(folder)}); import document; print(${expression})`;
    return execFileSync('python3', ['-B', '-c', script], { encoding: 'utf8' }).trim();
  }

  test('a time-out that is no number from 5 to 172800 becomes 3600 without a word; 5.9 is 5', () => {
    const given = ['abc', '3', '-1', '172801', '', 'inf', 'nan', '5', '5.9', '172800', '60'];
    const read = evaluate(`[document.read_timeout(value) for value in ${JSON.stringify(given)}]`);
    expect(JSON.parse(read)).toEqual([3600, 3600, 3600, 3600, 3600, 3600, 3600, 5, 5, 172_800, 60]);
  });

  test.each([
    ['^[a-z]+$', 'ok', true],
    ['^[a-z]+$', 'ok\n', false],
    ['^(on|off)$', 'on', true],
    ['[$]x\\$$', '$x$', true],
    ['[]$]', '$', true],
  ])('the pattern %s is read as Go reads it: %j', (pattern, value, matches) => {
    const read = evaluate(
      `bool(document.re.search(document.as_go_reads_it(${JSON.stringify(pattern)}), ${JSON.stringify(value)}))`,
    );
    expect(read).toBe(matches ? 'True' : 'False');
  });
});
