"""stub"""


class Driver: ...


class SimPartner: ...
