import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import jakarta.xml.bind.JAXBContext;
import jakarta.xml.bind.JAXBElement;
import org.openehealth.ipf.commons.ihe.xds.XDM;
import org.openehealth.ipf.commons.ihe.xds.XDS;
import org.openehealth.ipf.commons.ihe.xds.core.ebxml.ebxml30.EbXMLAdhocQueryRequest30;
import org.openehealth.ipf.commons.ihe.xds.core.ebxml.ebxml30.EbXMLProvideAndRegisterDocumentSetRequest30;
import org.openehealth.ipf.commons.ihe.xds.core.ebxml.ebxml30.EbXMLSubmitObjectsRequest30;
import org.openehealth.ipf.commons.ihe.xds.core.ebxml.ebxml30.ProvideAndRegisterDocumentSetRequestType;
import org.openehealth.ipf.commons.ihe.xds.core.stub.ebrs30.lcm.SubmitObjectsRequest;
import org.openehealth.ipf.commons.ihe.xds.core.stub.ebrs30.query.AdhocQueryRequest;
import org.openehealth.ipf.commons.ihe.xds.core.stub.ebrs30.rim.ObjectFactory;
import org.openehealth.ipf.commons.ihe.xds.core.validate.ValidationProfile;
import org.openehealth.ipf.commons.ihe.xds.core.validate.requests.AdhocQueryRequestValidator;
import org.openehealth.ipf.commons.ihe.xds.core.validate.requests.ProvideAndRegisterDocumentSetRequestValidator;
import org.openehealth.ipf.commons.ihe.xds.core.validate.requests.SubmitObjectsRequestValidator;

/** IPF's validators: each line of the input is a profile, a tab and a file; each line of the output `ok` or the fault. */
public class Metadata {
  static final Map<String, ValidationProfile> PROFILES = Map.of(
      "XDS ITI-41", XDS.Interactions.ITI_41, "XDS ITI-42", XDS.Interactions.ITI_42,
      "XDS ITI-57", XDS.Interactions.ITI_57, "XDS ITI-18", XDS.Interactions.ITI_18,
      "XDM ITI-41", XDM.Interactions.ITI_41);

  public static void main(String[] arguments) throws Exception {
    JAXBContext context = JAXBContext.newInstance(ProvideAndRegisterDocumentSetRequestType.class,
        SubmitObjectsRequest.class, AdhocQueryRequest.class, ObjectFactory.class);
    BufferedReader questions = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line; (line = questions.readLine()) != null; ) {
      String[] question = line.split("\t");
      String verdict = "ok";
      try {
        Object read = context.createUnmarshaller().unmarshal(new File(question[1]));
        judge(PROFILES.get(question[0]), read instanceof JAXBElement<?> element ? element.getValue() : read);
      } catch (Exception fault) {
        verdict = (fault.getClass().getSimpleName() + ": " + fault.getMessage()).replaceAll("\\s+", " ");
      }
      System.out.println(verdict);
    }
  }

  static void judge(ValidationProfile profile, Object request) {
    if (request instanceof ProvideAndRegisterDocumentSetRequestType given && profile == XDS.Interactions.ITI_42) {
      judge(profile, given.getSubmitObjectsRequest());
    } else if (request instanceof ProvideAndRegisterDocumentSetRequestType given) {
      ProvideAndRegisterDocumentSetRequestValidator.getInstance()
          .validate(new EbXMLProvideAndRegisterDocumentSetRequest30(given), profile);
    } else if (request instanceof SubmitObjectsRequest given) {
      SubmitObjectsRequestValidator.getInstance().validate(new EbXMLSubmitObjectsRequest30(given), profile);
    } else {
      AdhocQueryRequestValidator.getInstance()
          .validate(new EbXMLAdhocQueryRequest30((AdhocQueryRequest) request), profile);
    }
  }
}
