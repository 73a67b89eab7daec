import type { Outcome } from './outcomes.ts';

interface Meaning {
  /** The results that this reason may give. */
  readonly of: readonly Outcome[];
  /** What happened. */
  readonly sentence: string;
  /** What to do next. */
  readonly todo: string;
}

/** An operation that did not get through: the host says whether the old state is back. */
const halted = ['reverted', 'failed', 'unknown'] as const;

/** The closed list: what the host says (contract of the result line), then what the runner adds. */
export const reasons = {
  deployed: {
    of: ['done'],
    sentence: 'The release is live and healthy.',
    todo: 'Nothing.',
  },
  probed: { of: ['done'], sentence: 'The host told its state.', todo: 'Nothing.' },
  prepared: { of: ['done'], sentence: 'The host is prepared for the app.', todo: 'Deploy to it.' },
  'cancel-requested': {
    of: ['done'],
    sentence: 'The operation stops at its next safe point.',
    todo: 'Probe the host to see when.',
  },
  'backed-up': {
    of: ['done'],
    sentence: 'The backup is stored, and its manifest commits it.',
    todo: 'Nothing.',
  },
  restored: {
    of: ['done'],
    sentence: 'The backup is in place, and the app healthy on it.',
    todo: 'Nothing.',
  },
  'rolled-back': {
    of: ['done'],
    sentence: 'The earlier release is live again and healthy.',
    todo: 'Find out what was wrong with the later one before it is deployed again.',
  },
  retired: {
    of: ['done'],
    sentence: 'The machine is out of service, and nothing of the app starts on it.',
    todo: 'Take its last backup; an operator sends `<app>-prepare-host` to bring it back.',
  },
  verified: { of: ['done'], sentence: 'The backup restores.', todo: 'Nothing.' },
  packed: { of: ['done'], sentence: 'The release is packed.', todo: 'Deploy it.' },
  'already-live': {
    of: ['unchanged'],
    sentence: 'This very release is live already; nothing was restarted.',
    todo: 'Nothing.',
  },
  'already-ended': { of: ['unchanged'], sentence: 'The operation has ended already.', todo: 'Nothing.' },
  'already-prepared': {
    of: ['unchanged'],
    sentence: 'The host was prepared for the app already.',
    todo: 'Nothing.',
  },

  'already-retired': { of: ['unchanged'], sentence: 'The machine was retired already.', todo: 'Nothing.' },
  'retire-failed': {
    of: ['failed', 'unknown'],
    sentence: 'The machine could not be taken out of service.',
    todo: 'Read what still runs there, stop it on the host, and retire it again.',
  },
  'not-enrolled': {
    of: ['refused'],
    sentence:
      'The machine is retired, or a copy that nobody has enrolled yet: nothing of the app runs on it.',
    todo: 'Deploy to the machine that took its place; or an operator sends `<app>-prepare-host` to bring it back.',
  },

  'not-prepared': {
    of: ['refused'],
    sentence: 'The host has no settings for this app.',
    todo: 'An operator sends the document `<app>-prepare-host` to this instance once; then deploy again.',
  },
  'wrong-host': {
    of: ['refused'],
    sentence: 'The host says that it is another instance, or belongs to another environment.',
    todo: 'It is a copy of another machine, or wrongly tagged: correct its tags, or prepare it anew.',
  },
  'unrecognised-host': {
    of: ['refused'],
    sentence: 'The host is not one that can be prepared.',
    todo: 'Use Debian or Ubuntu with systemd 250 or later, with the agent running as root.',
  },
  'prepare-host-failed': {
    of: ['failed'],
    sentence: 'A step of preparing the host failed.',
    todo: 'Read the sentence and the log; mend what they name; then send `<app>-prepare-host` again.',
  },
  'scrub-missing': {
    of: ['refused'],
    sentence:
      'The machine holds the data of another environment, and its release has no hook that scrubs them.',
    todo: 'Give the app a hook `.understudy/hooks/scrub`, deploy it to where the data are from, and make a new image; or send `<app>-prepare-host` with `scrub=none`.',
  },
  'scrub-failed': {
    of: ['failed'],
    sentence: "The hook that scrubs another environment's data failed; nothing starts on the machine.",
    todo: 'Mend what the log names, by an image of a release with a better hook; or end the machine.',
  },
  drift: {
    of: ['refused'],
    sentence: "The release's `service` settings differ from what the host was prepared for.",
    todo: 'An operator sends `<app>-prepare-host` with the new settings; then deploy again.',
  },
  'stale-fence': {
    of: ['refused'],
    sentence: 'The host has taken a newer operation than this one.',
    todo: 'See who holds the lease; deploy again when it has ended.',
  },
  busy: {
    of: ['refused', 'failed'],
    sentence: 'Another operation is running on the host, or a database was held for too long.',
    todo: 'Wait until it has ended; then run this again.',
  },
  'no-room': {
    of: ['refused', ...halted],
    sentence: 'The disk of the host has no room for what the operation writes beside the data.',
    todo: 'Free space, lower `keep` in understudy.yml, or grow the disk; then run this again.',
  },
  'read-only': {
    of: ['refused'],
    sentence: 'A folder of the host that a deploy writes to is read-only.',
    todo: 'On the host: see `mount` and `dmesg` for why, mount it writable; then deploy again.',
  },
  'no-memory': {
    of: ['refused'],
    sentence: 'The host has no memory for a second copy of the app.',
    todo: 'Free memory or take a bigger instance type; then deploy again.',
  },
  'socket-inactive': {
    of: ['refused'],
    sentence: "The app's socket unit is not active, so no request would reach a release.",
    todo: 'On the host: `systemctl status <app>.socket`, mend it, `systemctl start` it; then deploy again.',
  },
  'download-failed': {
    of: ['refused'],
    sentence: 'The host could not fetch the release from the bucket.',
    todo: "Check that the host's role may read `releases/<app>/<environment>/` and that it reaches S3.",
  },
  'bad-digest': {
    of: ['refused'],
    sentence: "The release's bytes are not those that its digest promises.",
    todo: 'Nothing of it was run. Find out who changed the archive between build and deploy.',
  },
  'bad-release': {
    of: ['refused'],
    sentence: 'The archive is not a release.',
    todo: 'Pack it with the action `pack-release`, and hand on archive and digest as they are.',
  },

  'data-changed': {
    of: ['refused'],
    sentence: 'The schema of the live data is not the one that the earlier release ran on.',
    todo: 'Put the earlier code on top and push it, with a migration for the data as it is now; restore a backup; or, where the earlier release can read the data as it is, roll back with `data: keep`.',
  },

  'backup-precondition': {
    of: ['refused', 'failed'],
    sentence: 'What is to be backed up, or where to, is not as it must be.',
    todo: 'Mend what the sentence names; then back up again.',
  },
  'too-long-a-hold': {
    of: ['refused', 'failed'],
    sentence: 'Copying a database with a rollback journal would hold its writers for too long.',
    todo: "Switch the database to WAL (`PRAGMA journal_mode=wal`), or raise `busy-timeout` in understudy.yml to the app's own.",
  },
  'verification-failed': {
    of: ['failed'],
    sentence: 'The copy of a database did not pass its verification, so it was not stored.',
    todo: 'Read what it found: the live database may be damaged. Keep the last good backup, and see `PRAGMA integrity_check`.',
  },
  'upload-failed': {
    of: ['failed', 'unknown'],
    sentence: 'An object of the backup could not be stored, so no manifest commits it.',
    todo: 'Check that the host reaches S3, and that its role may put objects below `backups/<app>/`; then back up again.',
  },
  'commit-failed': {
    of: ['failed', 'unknown'],
    sentence: 'The objects of the backup are stored, and the manifest that commits them is not.',
    todo: 'Back up again: objects without a manifest are no backup, and expire.',
  },
  unconfirmed: {
    of: ['failed', 'unknown'],
    sentence: 'The bucket does not hold what the host says that it stored.',
    todo: 'Do not rely on this backup. Back up again; if it stays so, compare bucket and host as the sentence says.',
  },
  'backup-bad': {
    of: ['failed'],
    sentence: 'The backup is bad: it does not restore.',
    todo: 'Take an older backup that is proven; find out what damaged this one.',
  },
  'restore-precondition': {
    of: ['refused', ...halted],
    sentence: 'What is to be restored, or where to, is not as it must be.',
    todo: 'Mend what the sentence names; then restore again.',
  },
  'drill-could-not-run': {
    of: ['refused', 'failed', 'unknown'],
    sentence: 'Whether the backup restores could not be tried.',
    todo: 'It says nothing about the backup. Mend what the sentence names; then try again.',
  },
  'control-passed': {
    of: ['failed'],
    sentence:
      'A copy that was damaged on purpose passed the verification, so the verification proves nothing.',
    todo: 'Report it: no verdict of this version may be relied on.',
  },

  imaged: {
    of: ['done', 'unchanged'],
    sentence: 'The image is available.',
    todo: 'Prove it, by `prove: true`, before it is relied on.',
  },
  golden: {
    of: ['done', 'unchanged'],
    sentence: 'The app was healthy on an instance that was booted from the image: it is golden.',
    todo: 'Nothing.',
  },
  'image-failed': {
    of: ['refused', 'failed', 'unknown'],
    sentence: 'There is no image.',
    todo: 'Mend what the sentence names; then run this job again.',
  },
  'image-unproven': {
    of: ['refused', 'failed', 'unknown'],
    sentence: 'The image is there, and no instance that was booted from it was seen healthy.',
    todo: 'Do not go back to it. Mend what the sentence names; then prove it again, by `image`.',
  },

  'prepare-failed': {
    of: halted,
    sentence: "The release's `prepare` hook failed.",
    todo: 'Read the last lines of its log, mend the hook, push again.',
  },
  'backup-failed': {
    of: halted,
    sentence: 'The backup before the change failed, so nothing was changed after it.',
    todo: 'Read the log: the database may be damaged or held; mend it before deploying.',
  },
  'migrate-failed': {
    of: halted,
    sentence: "The release's `migrate` hook failed.",
    todo: 'Read the last lines of its log, mend the hook, push again.',
  },
  'check-failed': {
    of: halted,
    sentence: 'The release did not answer a check as promised.',
    todo: 'See what the check answered, mend the app, push again.',
  },
  'start-failed': {
    of: halted,
    sentence: 'The release did not start.',
    todo: 'Read the last lines of its log, mend the app, push again.',
  },
  'schema-changed': {
    of: halted,
    sentence: 'The schema of the live database changed while the release was rehearsed on a copy.',
    todo: 'Find out what changes the schema of the running app; then deploy again.',
  },
  'switch-failed': {
    of: halted,
    sentence: 'The switch from the old release to the new one failed.',
    todo: 'Read the log; `<app>-probe` tells which release is live now.',
  },
  'timed-out': {
    of: halted,
    sentence: 'The operation took longer than it may.',
    todo: 'See in the steps where the time went; make that quicker, or allow more by `start-timeout` in understudy.yml; then run this again.',
  },
  cancelled: {
    of: ['reverted', 'refused', 'failed', 'unknown'],
    sentence: 'The operation was cancelled.',
    todo: 'Run the job again when you want to.',
  },
  interrupted: {
    of: halted,
    sentence: 'The operation died half-way on the host, and recovery put the old state back.',
    todo: 'Find out what ended it (a reboot, no memory); then deploy again.',
  },
  'migrate-interrupted': {
    of: ['unknown'],
    sentence: 'The operation died while it changed the live database.',
    todo: 'Nothing goes on by itself. Compare the database with the backup that the log names, then decide.',
  },
  'no-result': {
    of: ['unknown'],
    sentence: 'The host gave no result.',
    todo: 'Send `<app>-probe` about this operation: it tells which release is live, and whether it still runs.',
  },

  'bad-input': {
    of: ['refused'],
    sentence: 'An input of the action is wrong.',
    todo: 'Correct the input; its example is in the message.',
  },
  'bad-config': {
    of: ['refused'],
    sentence: 'The file understudy.yml is wrong.',
    todo: 'Correct the line that the message names.',
  },
  'pull-request': {
    of: ['refused'],
    sentence: 'A pull request may change nothing here.',
    todo: 'Merge it: the push to the branch may.',
  },
  'no-instances': {
    of: ['refused'],
    sentence: 'No running instance bears the tags of this app and environment.',
    todo: 'Start the instance, or give it the tags `App` and `Environment`.',
  },
  offline: {
    of: ['refused'],
    sentence: 'The agent of an instance is not connected.',
    todo: 'On the instance: `systemctl restart amazon-ssm-agent`; check its role and its way out.',
  },
  'agent-too-old': {
    of: ['refused'],
    sentence: 'The agent of an instance is too old.',
    todo: 'Send `AWS-UpdateSSMAgent` to the instance, or install a newer amazon-ssm-agent.',
  },
  'too-many-instances': {
    of: ['refused'],
    sentence: 'More instances bear the tags than one command may be sent to.',
    todo: 'Part them into environments of their own.',
  },
  'bad-bucket': {
    of: ['refused'],
    sentence: 'A bucket of the environment cannot be used.',
    todo: 'Compare `bucket`, `backups` and `region` in understudy.yml with the stack of `infra/foundation.yaml`.',
  },
  'wrong-environment': {
    of: ['refused'],
    sentence: 'An instance bears tags of another app or environment.',
    todo: 'Correct its tags `App` and `Environment`.',
  },
  'lease-held': {
    of: ['refused'],
    sentence: 'Another operation holds the lease of this environment.',
    todo: 'Wait until it has ended; then run this job again.',
  },
  'lease-lost': {
    of: ['refused', 'unknown'],
    sentence: 'The lease was lost while the operation ran.',
    todo: 'Send `<app>-probe`; see in the ledger who changed the environment meanwhile.',
  },
  'not-descendant': {
    of: ['refused'],
    sentence: 'The commit does not descend from the live one: deploying it would go back.',
    todo: 'Going back is the work of `rollback`. Otherwise put your commit on top of the live one.',
  },
  'github-failed': {
    of: ['refused'],
    sentence: 'GitHub did not answer what was asked of it.',
    todo: 'See whether GitHub has an incident; then run this job again.',
  },
  'role-refused': {
    of: ['refused'],
    sentence: "The role did not accept the job's token.",
    todo: "Compare the token's claims with the role's trust policy.",
  },
  'store-failed': {
    of: ['refused'],
    sentence: 'The release could not be stored in the bucket.',
    todo: 'Check the bucket and what the role may do in it; then run this job again.',
  },
  'document-missing': {
    of: ['refused'],
    sentence: 'The account has no such command document, or not the one that this version needs.',
    todo: 'Create or update the stack of `infra/documents.yaml` from this version.',
  },
  'access-denied': {
    of: ['refused', 'failed', 'unknown'],
    sentence: 'AWS refused a call.',
    todo: "Compare the role's policy with `infra/foundation.yaml`.",
  },
  'aws-failed': {
    of: ['refused'],
    sentence: 'AWS did not do a call.',
    todo: 'See whether AWS has an incident, or the account too many calls at once; then run this job again.',
  },
  launched: {
    of: ['done'],
    sentence: 'The instance is launched, enrolled, and healthy.',
    todo: 'Nothing.',
  },
  'launch-failed': {
    of: ['failed', 'unknown'],
    sentence: 'The instance could not be launched, or did not come up healthy; it is removed again.',
    todo: 'Mend what the sentence names; then run this job again.',
  },
  'not-launchable': {
    of: ['refused'],
    sentence: 'There is no image that can be launched.',
    todo: 'Make one of production, and prove it: create-ami with prove: true.',
  },
  'former-foreign': {
    of: ['refused'],
    sentence: 'An instance of the environment runs that launch-staging did not make, and cannot replace.',
    todo: 'Stop it, or take its tag App away; then run this job again.',
  },
  moved: {
    of: ['done'],
    sentence: 'The environment is on a new instance, which was launched from an image and is healthy.',
    todo: 'Look at the app; remove the old instance, which is kept stopped, when you are sure.',
  },
  'not-moved': {
    of: ['reverted', 'failed', 'unknown'],
    sentence: 'The environment could not be brought onto a new instance.',
    todo: 'Mend what the sentence names; then run this job again.',
  },
  'cannot-move': {
    of: ['refused'],
    sentence: 'What a new instance of the environment needs is not there.',
    todo: 'Mend what the sentence names; then run this job again.',
  },
  'loss-unconfirmed': {
    of: ['refused'],
    sentence: 'The old instance does not answer, so what it wrote since its backup would be lost.',
    todo: 'Where that may be lost, run this job again with confirm: true.',
  },
  'former-left': {
    of: ['failed'],
    sentence:
      'The new instance is healthy, and the one before could not be removed: the environment has two.',
    todo: 'Remove the stack of the one before: aws cloudformation delete-stack; see its events for what keeps it.',
  },

  'never-ran': {
    of: ['refused'],
    sentence: 'The command never ran on the instance.',
    todo: 'See the other instances: SSM stops handing a command out after too many failures.',
  },
  'delivery-timed-out': {
    of: ['failed'],
    sentence: 'The command never ran: it could not be delivered to the instance, where nothing was changed.',
    todo: 'On the instance: `systemctl restart amazon-ssm-agent`; then run this job again.',
  },
  'command-failed': {
    of: ['failed'],
    sentence: 'The command failed on the instance before our script gave a result.',
    todo: 'Read what the command printed in Systems Manager.',
  },
  // What a promotion says.
  promoted: {
    of: ['done'],
    sentence: 'The release is live, and was healthy for its time of watching.',
    todo: 'Nothing.',
  },
  'no-tag': {
    of: ['refused'],
    sentence: 'There is no such tag.',
    todo: 'Push the tag; or correct the input `tag`.',
  },
  'tag-off-branch': {
    of: ['refused'],
    sentence: 'The tag is not on the default branch.',
    todo: 'Merge its commit, let staging run it, and tag the merged one.',
  },
  'tag-moved': {
    of: ['refused'],
    sentence: 'The tag was moved to another commit.',
    todo: 'Find out who moved it. What is meant gets a tag of its own.',
  },
  'tag-unprotected': {
    of: ['refused'],
    sentence: 'Nothing keeps the tag from being moved, and nobody approved the promotion.',
    todo: 'Protect tags by a ruleset, or run the workflow by hand with `confirm`.',
  },
  'never-on-staging': {
    of: ['refused'],
    sentence: 'The release never ran on staging.',
    todo: 'Deploy it to staging, and promote it when it has soaked.',
  },
  'taken-back-on-staging': {
    of: ['refused'],
    sentence: 'Staging took the release back.',
    todo: 'Find out why; promote a commit that mends it.',
  },
  'bad-receipt': {
    of: ['refused'],
    sentence: 'The receipt of the release proves nothing.',
    todo: 'Deploy the commit to staging again, and promote it when it has soaked.',
  },
  'not-soaked': {
    of: ['refused'],
    sentence: 'The release was not healthy on staging for long enough.',
    todo: 'Wait until it has soaked, then run this again.',
  },
  'no-proof': {
    of: ['refused'],
    sentence: 'No young proof shows that a backup restores.',
    todo: 'Run the workflow verify-backup; when it is green, run this again.',
  },
  degraded: {
    of: halted,
    sentence: 'The release was healthy when it went live, and was not while it was watched.',
    todo: 'See in the log what it met, mend it, and promote the next tag.',
  },
  'fleet-refused': {
    of: ['reverted'],
    sentence: 'The release was healthy here, and was taken back because other instances did not take it.',
    todo: 'See what the other instances say; mend it, then push again.',
  },
  'no-backup': {
    of: ['refused'],
    sentence: 'There is no such backup to go back to.',
    todo: 'Choose another one: the plan (plan: true) lists them.',
  },
  'no-such-release': {
    of: ['refused'],
    sentence: 'There is no such release to go back to.',
    todo: 'Choose another one: the plan (plan: true) lists them.',
  },
  'not-backed-up': {
    of: ['refused', 'unknown'],
    sentence: 'What is there could not be backed up, so it was left as it is.',
    todo: 'Mend what the sentence names; then run this again.',
  },
  planned: {
    of: ['unchanged'],
    sentence: 'This was the plan; nothing was changed.',
    todo: 'Run it again with `plan: false`.',
  },
  unaccounted: {
    of: ['unknown'],
    sentence: 'Not every instance can be accounted for.',
    todo: 'Send `<app>-probe`: it tells for each instance which release is live.',
  },
  'unexpected-error': {
    of: ['failed', 'refused', 'unknown'],
    sentence: 'The action met an error that it does not know.',
    todo: 'Run the job again with debug logging, and report what it shows. The probe document tells what is live.',
  },
} as const satisfies Record<string, Meaning>;

export type Reason = keyof typeof reasons;

export function isReason(text: string): text is Reason {
  return Object.hasOwn(reasons, text);
}

/** What the list says of a reason, with the app's name put in. */
export function explain(reason: Reason, app?: string): { sentence: string; todo: string } {
  const { sentence, todo } = reasons[reason];
  const name = (text: string): string => (app ? text.replaceAll('<app>', app) : text);
  return { sentence: name(sentence), todo: name(todo) };
}
