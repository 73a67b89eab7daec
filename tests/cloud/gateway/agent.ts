/** A message as GetMessages gives it. */
export interface Delivered {
  readonly MessageId: string;
  readonly Topic: string;
  readonly Payload: string;
}

/** An agent whose every word the test says: it speaks ec2messages, and does nothing by itself. */
export class Agent {
  readonly #url: string;
  readonly #accessKey: string;
  readonly instanceId: string;

  constructor(url: string, instanceId: string, accessKey: string) {
    this.#url = url;
    this.instanceId = instanceId;
    this.#accessKey = accessKey;
  }

  /** Tells the service that it is there. */
  async register(version = '3.3.987.0'): Promise<void> {
    await this.call('AmazonSSM.UpdateInstanceInformation', {
      InstanceId: this.instanceId,
      AgentName: 'amazon-ssm-agent',
      AgentStatus: 'Active',
      AgentVersion: version,
      PlatformType: 'Linux',
      PlatformName: 'Debian GNU/Linux',
      PlatformVersion: '12',
    });
  }

  /** One poll; the answer is empty when nothing came in time. */
  async poll(visibility = 10, signal?: AbortSignal): Promise<Delivered[]> {
    const answer = await this.call(
      'EC2WindowsMessageDeliveryService.GetMessages',
      {
        Destination: this.instanceId,
        MessagesRequestId: crypto.randomUUID(),
        VisibilityTimeoutInSeconds: visibility,
      },
      signal,
    );
    return answer['Messages'] as Delivered[];
  }

  /** Polls until there is a message. */
  async next(visibility = 10): Promise<Delivered> {
    for (;;) {
      const [message] = await this.poll(visibility);
      if (message !== undefined) return message;
    }
  }

  /** Takes the next message, and says so, as an agent does that has accepted a command. */
  async accept(): Promise<Delivered> {
    const message = await this.next();
    await this.reply(message, 'InProgress');
    await this.acknowledge(message);
    return message;
  }

  async acknowledge(message: Delivered): Promise<void> {
    await this.call('EC2WindowsMessageDeliveryService.AcknowledgeMessage', { MessageId: message.MessageId });
  }

  /** Reports on a document, and on steps where they are given. */
  async reply(
    message: Delivered,
    documentStatus: string,
    steps: Record<string, StepReport> = {},
  ): Promise<void> {
    const now = new Date().toISOString();
    const runtimeStatus = Object.fromEntries(
      Object.entries(steps).map(([name, { status = documentStatus, code = 0, stdout = '', stderr = '' }]) => [
        name,
        {
          status,
          code,
          name: 'aws:runShellScript',
          stepName: name,
          output: stderr === '' ? stdout : `${stdout}\n----------ERROR-------\n${stderr}`,
          standardOutput: stdout,
          standardError: stderr,
          startDateTime: now,
          endDateTime: now,
        },
      ]),
    );
    await this.call('EC2WindowsMessageDeliveryService.SendReply', {
      MessageId: message.MessageId,
      ReplyId: crypto.randomUUID(),
      Payload: JSON.stringify({
        additionalInfo: { agent: { name: 'amazon-ssm-agent', ver: '3.3.987.0' } },
        documentStatus,
        documentTraceOutput: '',
        runtimeStatus: Object.keys(steps).length === 0 ? null : runtimeStatus,
      }),
    });
  }

  async fail(message: Delivered, type: string): Promise<void> {
    await this.call('EC2WindowsMessageDeliveryService.FailMessage', {
      MessageId: message.MessageId,
      FailureType: type,
    });
  }

  /** Takes one command and ends it well. */
  async serveOne(step: string, stdout = ''): Promise<Delivered> {
    const message = await this.accept();
    await this.reply(message, 'Success', { [step]: { stdout } });
    return message;
  }

  /** A signed-looking JSON 1.1 call. @throws Error with the service's error code */
  async call(target: string, input: object, signal?: AbortSignal): Promise<Record<string, unknown>> {
    const service = target.startsWith('AmazonSSM') ? 'ssm' : 'ec2messages';
    const scope = `${this.#accessKey}/20261123/us-east-2/${service}/aws4_request`;
    const response = await fetch(this.#url, {
      method: 'POST',
      headers: {
        authorization: `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=host, Signature=0`,
        'content-type': 'application/x-amz-json-1.1',
        'x-amz-target': target,
      },
      body: JSON.stringify(input),
      ...(signal === undefined ? {} : { signal }),
    });
    const answer = (await response.json()) as Record<string, unknown>;
    if (!response.ok) throw new Error(`${String(answer['__type'])}: ${String(answer['message'])}`);
    return answer;
  }
}

export interface StepReport {
  status?: string;
  code?: number;
  stdout?: string;
  stderr?: string;
}
