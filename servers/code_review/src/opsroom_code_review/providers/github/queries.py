"""The GraphQL that is sent to GitHub, but for what is put together at the call."""

WHO = "fragment who on Actor { __typename login }"

NUMBERED = "fragment numbered on PullRequest { number repository { nameWithOwner } }"

SUMMARY = f"""
fragment summary on PullRequest {{
  number title state isDraft reviewDecision url updatedAt headRefOid
  author {{ ...who }}
  repository {{ nameWithOwner }}
  opinions: latestOpinionatedReviews(first: 20, writersOnly: true) {{ nodes {{ state }} }}
}}
{WHO}
"""

FOUND_PULLS = f"""
fragment foundPulls on SearchResultItemConnection {{
  edges {{ cursor node {{ ... on PullRequest {{ id ...summary }} }} }}
  pageInfo {{ hasNextPage endCursor }}
}}
{SUMMARY}
"""

FOUND_PULLS_WITH_FILES = f"""
fragment foundPulls on SearchResultItemConnection {{
  edges {{
    cursor
    node {{
      ... on PullRequest {{ id ...summary files(first: 100) {{ nodes {{ path }} pageInfo {{ hasNextPage endCursor }} }} }}
    }}
  }}
  pageInfo {{ hasNextPage endCursor }}
}}
{SUMMARY}
"""

MORE_PATHS = """
query MorePaths($id: ID!, $after: String!) {
  node(id: $id) {
    ... on PullRequest { files(first: 100, after: $after) { nodes { path } pageInfo { hasNextPage endCursor } } }
  }
}
"""

CHANGE = f"""
query Change($owner: String!, $name: String!, $number: Int!) {{
  repository(owner: $owner, name: $name) {{
    viewerPermission isArchived
    item: issueOrPullRequest(number: $number) {{
      __typename
      ... on PullRequest {{
        ...summary
        body authorAssociation viewerDidAuthor locked baseRefName headRefName changedFiles
        baseRef {{ associatedPullRequests(first: 5, states: [OPEN]) {{ nodes {{ ...numbered }} }} }}
        files(first: 100) {{ nodes {{ path changeType additions deletions }} pageInfo {{ hasNextPage endCursor }} }}
        reviewThreads(first: 100) {{ nodes {{ isResolved }} pageInfo {{ hasNextPage endCursor }} }}
        commits(last: 30) {{ nodes {{ commit {{ oid committedDate }} }} }}
        forced: timelineItems(itemTypes: [HEAD_REF_FORCE_PUSHED_EVENT], last: 20) {{
          nodes {{
            ... on HeadRefForcePushedEvent {{ createdAt beforeCommit {{ oid }} afterCommit {{ oid }} }}
          }}
        }}
        latest: latestReviews(first: 50) {{ nodes {{ author {{ ...who }} state commit {{ oid }} }} }}
        opinionated: latestOpinionatedReviews(first: 50) {{ nodes {{ author {{ ...who }} state commit {{ oid }} }} }}
        reviewRequests(first: 50) {{
          nodes {{
            asCodeOwner
            requestedReviewer {{
              __typename
              ... on User {{ login }}
              ... on Bot {{ login }}
              ... on Mannequin {{ login }}
              ... on Team {{ combinedSlug }}
            }}
          }}
        }}
        closingIssuesReferences(first: 50) {{ nodes {{ number repository {{ nameWithOwner }} }} }}
        tip: commits(last: 1) {{
          nodes {{
            commit {{
              statusCheckRollup {{
                state
                contexts(first: 1) {{
                  checkRunCountsByState {{ state count }}
                  statusContextCountsByState {{ state count }}
                }}
              }}
            }}
          }}
        }}
      }}
    }}
  }}
}}
{SUMMARY}
{NUMBERED}
"""

CHANGE_MORE = """
query ChangeMore(
  $owner: String!, $name: String!, $number: Int!,
  $files: String, $withFiles: Boolean!, $threads: String, $withThreads: Boolean!
) {
  repository(owner: $owner, name: $name) {
    item: pullRequest(number: $number) {
      files(first: 100, after: $files) @include(if: $withFiles) {
        nodes { path changeType additions deletions }
        pageInfo { hasNextPage endCursor }
      }
      reviewThreads(first: 100, after: $threads) @include(if: $withThreads) {
        nodes { isResolved }
        pageInfo { hasNextPage endCursor }
      }
    }
  }
}
"""

KIND = """
query Kind($owner: String!, $name: String!, $number: Int!) {
  repository(owner: $owner, name: $name) { item: issueOrPullRequest(number: $number) { __typename } }
}
"""

COMMENT = f"""
fragment comment on Comment {{ id body createdAt author {{ ...who }} authorAssociation }}
{WHO}
"""

THREADS = f"""
query Threads(
  $owner: String!, $name: String!, $number: Int!,
  $threads: String, $withThreads: Boolean!, $reviews: String, $withReviews: Boolean!, $comments: String, $withComments: Boolean!
) {{
  repository(owner: $owner, name: $name) {{
    item: issueOrPullRequest(number: $number) {{
      __typename
      ... on PullRequest {{
        reviewThreads(first: 50, after: $threads) @include(if: $withThreads) {{
          nodes {{
            id isResolved isOutdated path line startLine originalLine originalStartLine diffSide
            comments(first: 50) {{
              nodes {{ ...comment state originalCommit {{ oid }} pullRequestReview {{ id }} }}
              pageInfo {{ hasNextPage endCursor }}
            }}
          }}
          pageInfo {{ hasNextPage endCursor }}
        }}
        reviews(first: 100, after: $reviews) @include(if: $withReviews) {{
          nodes {{ ...comment state submittedAt commit {{ oid }} }}
          pageInfo {{ hasNextPage endCursor }}
        }}
        comments(first: 100, after: $comments) @include(if: $withComments) {{
          nodes {{ ...comment }}
          pageInfo {{ hasNextPage endCursor }}
        }}
      }}
      ... on Issue {{
        comments(first: 100, after: $comments) @include(if: $withComments) {{
          nodes {{ ...comment }}
          pageInfo {{ hasNextPage endCursor }}
        }}
      }}
    }}
  }}
}}
{COMMENT}
"""

MORE_COMMENTS = f"""
query MoreComments($id: ID!, $after: String!) {{
  node(id: $id) {{
    ... on PullRequestReviewThread {{
      comments(first: 100, after: $after) {{
        nodes {{ ...comment state originalCommit {{ oid }} pullRequestReview {{ id }} }}
        pageInfo {{ hasNextPage endCursor }}
      }}
    }}
  }}
}}
{COMMENT}
"""

CHECKS = """
query Checks($owner: String!, $name: String!, $number: Int!, $after: String) {
  repository(owner: $owner, name: $name) {
    item: issueOrPullRequest(number: $number) {
      __typename
      ... on PullRequest {
        tip: commits(last: 1) {
          nodes {
            commit {
              statusCheckRollup {
                state
                contexts(first: 100, after: $after) {
                  nodes {
                    __typename
                    ... on CheckRun { id name status conclusion detailsUrl title }
                    ... on StatusContext { id context state targetUrl description }
                  }
                  pageInfo { hasNextPage endCursor }
                }
              }
            }
          }
        }
      }
    }
  }
}
"""

ANNOTATIONS = """
query Annotations($id: ID!) {
  node(id: $id) {
    ... on CheckRun {
      annotations(first: 50) { nodes { path location { start { line } } annotationLevel message title } }
    }
  }
}
"""

BEFORE_REVIEW = """
query BeforeReview($owner: String!, $name: String!, $number: Int!) {
  repository(owner: $owner, name: $name) {
    item: issueOrPullRequest(number: $number) {
      __typename
      ... on PullRequest { headRefOid viewerDidAuthor locked reviewed: viewerLatestReview { id state url commit { oid } } }
    }
  }
}
"""

WRITTEN_COMMENTS = """
query WrittenComments($owner: String!, $name: String!, $number: Int!, $after: String) {
  repository(owner: $owner, name: $name) {
    item: pullRequest(number: $number) {
      reviewThreads(first: 100, after: $after) {
        nodes {
          id path line startLine originalLine originalStartLine diffSide
          comments(first: 1) { nodes { id body state pullRequestReview { id } } }
        }
        pageInfo { hasNextPage endCursor }
      }
    }
  }
}
"""

THREAD_PLACE = f"""
query ThreadPlace($id: ID!) {{
  node(id: $id) {{
    __typename
    ... on PullRequestReviewThread {{
      isResolved viewerCanReply viewerCanResolve viewerCanUnresolve pullRequest {{ ...numbered }}
    }}
    ... on PullRequestReview {{ url pullRequest {{ ...numbered }} }}
    ... on IssueComment {{ url about: pullRequest {{ ...numbered }} }}
  }}
}}
{NUMBERED}
"""

REPLY = """
mutation Reply(
  $thread: ID!, $body: String!, $reply: Boolean!, $resolve: Boolean!, $unresolve: Boolean!
) {
  reply: addPullRequestReviewThreadReply(input: {pullRequestReviewThreadId: $thread, body: $body}) @include(if: $reply) {
    comment { id url state }
  }
  resolve: resolveReviewThread(input: {threadId: $thread}) @include(if: $resolve) { thread { isResolved } }
  unresolve: unresolveReviewThread(input: {threadId: $thread}) @include(if: $unresolve) { thread { isResolved } }
}
"""

DRAFT = """
mutation Draft($id: ID!) {
  changed: convertPullRequestToDraft(input: {pullRequestId: $id}) { pullRequest { isDraft } }
}
"""

READY = """
mutation Ready($id: ID!) {
  changed: markPullRequestReadyForReview(input: {pullRequestId: $id}) { pullRequest { isDraft } }
}
"""

ISSUE = f"""
fragment issue on Issue {{
  id number title state stateReason(enableDuplicate: true) url updatedAt body authorAssociation
  author {{ ...who }}
  repository {{ nameWithOwner }}
  assignees(first: 5) {{ nodes {{ login }} }}
  labels(first: 50) {{ nodes {{ name }} }}
  milestone {{ title }}
  parent {{ number repository {{ nameWithOwner }} }}
  closedByPullRequestsReferences(first: 20, includeClosedPrs: true) {{ nodes {{ ...numbered }} }}
}}
{WHO}
{NUMBERED}
"""

FOUND_ISSUES = f"""
fragment foundIssues on SearchResultItemConnection {{
  edges {{ cursor node {{ ... on Issue {{ ...issue }} }} }}
  pageInfo {{ hasNextPage endCursor }}
}}
{ISSUE}
"""

ADD_SUB_ISSUE = """
mutation AddSubIssue($parent: ID!, $child: ID!) {
  changed: addSubIssue(input: {issueId: $parent, subIssueId: $child, replaceParent: true}) {
    subIssue { parent { number repository { nameWithOwner } } }
  }
}
"""

EDITED = f"""
fragment edited on PullRequest {{
  id body baseRefName
  ...summary
  reviewRequests(first: 100) {{
    nodes {{
      asCodeOwner
      requestedReviewer {{
        __typename
        ... on User {{ login }}
        ... on Bot {{ login }}
        ... on Mannequin {{ login }}
        ... on Team {{ combinedSlug }}
      }}
    }}
  }}
}}
{SUMMARY}
"""
